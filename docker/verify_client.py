"""The main job through the REST API, with only the standard library."""

import http.cookiejar
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from decimal import Decimal
from typing import Any

from verify_engine import Failed

PASSWORD = "a long enough pass phrase"
FEE = "The licence of lake {name} costs {fee} crowns a season."
ENDED = ("ready", "failed", "cancelled")


def request(
    method: str, url: str, *, token: str = "", data: bytes | None = None, kind: str = "application/json"
) -> tuple[int, bytes]:
    headers = {"Accept": "*/*"} | ({"Authorization": f"Bearer {token}"} if token else {})
    headers |= {"Content-Type": kind} if data is not None else {}
    try:
        asked = urllib.request.Request(url, data=data, headers=headers, method=method)
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


class Person:
    """A client of the API; ``urls`` has the address of each of the four services."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.urls = urls
        self.email = f"{uuid.uuid4().hex}@example.com"
        self.token = ""

    def call(self, service: str, method: str, path: str, body: Any = None) -> Any:
        """
        :raises Failed: the answer is an error.
        """
        data = None if body is None else json.dumps(body).encode()
        status, answer = request(method, self.urls[service] + path, token=self.token, data=data)
        if status >= 400:
            raise Failed(f"{method} {path}: {status} {answer[:300].decode(errors='replace')}")
        return json.loads(answer) if answer else None

    def enter(self, how: str) -> None:
        """``signup`` or ``login``."""
        self.token = ""
        body = {"email": self.email, "password": PASSWORD}
        self.token = self.call("accounts", "POST", f"/api/v1/auth/{how}", body)["meta"]["access_token"]

    def upload(self, name: str, content: bytes) -> str:
        """Upload a text and wait until it can be searched; its id."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        form = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
        url = f"{self.urls['documents']}/api/v1/documents"
        status, answer = request("POST", url, token=self.token, data=form, kind=f"multipart/form-data; boundary={mark}")
        if status not in (200, 201):
            raise Failed(f"upload: {status} {answer[:300].decode(errors='replace')}")
        document = json.loads(answer)
        deadline = time.monotonic() + 90
        while document["status"] not in ENDED and time.monotonic() < deadline:
            time.sleep(0.2)
            document = self.call("documents", "GET", f"/api/v1/documents/{document['id']}")
        if document["status"] != "ready":
            raise Failed(f"the document stays {document['status']}: {document.get('error')}")
        return str(document["id"])

    def content(self, document: str) -> bytes:
        url = f"{self.urls['documents']}/api/v1/documents/{document}/content"
        status, answer = request("GET", url, token=self.token)
        if status != 200:
            raise Failed(f"content: {status} {answer[:300].decode(errors='replace')}")
        return answer

    def balance(self) -> dict[str, Any]:
        found: dict[str, Any] = self.call("billing", "GET", "/api/v1/billing/balance")
        return found

    def messages(self, conversation: str) -> list[dict[str, Any]]:
        path = f"/api/v1/conversations/{conversation}/messages"
        found: list[dict[str, Any]] = self.call("agents", "GET", path)["results"]
        return found

    def events(self, run: str) -> list[tuple[str, dict[str, Any]]]:
        """All events of a run, streamed until its end."""
        url = f"{self.urls['agents']}/api/v1/runs/{run}/events"
        status, answer = request("GET", url, token=self.token)
        if status != 200:
            raise Failed(f"events: {status} {answer[:300].decode(errors='replace')}")
        frames = re.findall(r"^event: (\S+)\ndata: (.*)$", answer.decode(), flags=re.MULTILINE)
        return [(name, json.loads(data)) for name, data in frames]


def main_job(person: Person) -> dict[str, Any]:
    """Upload a text, make an agent that knows it, ask, watch the answer come with its citation, pay for it.

    :raises Failed: anything of that is not so.
    """
    before = person.balance()
    name, fee = uuid.uuid4().hex[:8], str(100 + uuid.uuid4().int % 900)
    text = FEE.format(name=name, fee=fee).encode()
    document = person.upload(f"{name}.txt", text)
    agent = person.call(
        "agents",
        "POST",
        "/api/v1/agents",
        {"name": "Reader", "model": "offline", "knowledge": [{"document": document}]},
    )["id"]
    conversation = person.call("agents", "POST", "/api/v1/conversations", {"agent": agent})["id"]
    question = {"input": f"What does the licence of lake {name} cost?"}
    run = person.call("agents", "POST", f"/api/v1/conversations/{conversation}/runs", question)["id"]
    events = person.events(run)
    names = [event for event, _data in events]
    said = "".join(data["delta"] for event, data in events if event == "text.delta")
    cited = [data["citation"]["document"] for event, data in events if event == "citation.added"]
    if names[-1:] != ["run.completed"] or fee not in said or document not in cited:
        raise Failed(f"the answer is not right: {names[-3:]}, cited {cited}, said {said[:200]!r}")
    cost = Decimal(person.call("agents", "GET", f"/api/v1/runs/{run}")["cost"])
    after = person.balance()
    if not cost > 0 or Decimal(before["posted"]) - Decimal(after["posted"]) != cost or Decimal(after["held"]) != 0:
        raise Failed(f"the balance is not right: {before} and {after} around a cost of {cost}")
    return {
        "document": document,
        "text": text,
        "conversation": conversation,
        "messages": person.messages(conversation),
        "balance": after,
    }


def opens_admin(url: str, email: str, password: str) -> bool:
    """Whether this operator can log in to the admin, as a browser does."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = f"{url}/admin/login/?next=/admin/"
    with browser.open(page, timeout=30) as form:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.read().decode())
    fields = {"username": email, "password": password, "csrfmiddlewaretoken": token[1] if token else ""}
    asked = urllib.request.Request(page, data=urllib.parse.urlencode(fields).encode(), headers={"Referer": page})
    with browser.open(asked, timeout=30) as answer:
        return bool(answer.status == 200 and answer.url.endswith("/admin/"))
