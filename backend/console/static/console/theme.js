// Light, dark or as the system has it: kept in this browser. tokens.css has both colours of each token.

const CHOICE = "orquestra.theme";
export const THEMES = ["system", "light", "dark"];

export const theme = () => (THEMES.includes(localStorage.getItem(CHOICE)) ? localStorage.getItem(CHOICE) : "system");

export function chooseTheme(wanted) {
  localStorage.setItem(CHOICE, wanted);
  apply();
}

function apply() {
  if (theme() === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme();
}

addEventListener("storage", ({ key }) => key === CHOICE && apply()); // Chosen in another tab.
apply();
