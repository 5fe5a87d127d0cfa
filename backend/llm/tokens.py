"""Counting tokens without a tokenizer."""


def count_tokens(text: str) -> int:
    """About how many tokens the text is, on the high side: for money set aside and for providers that do not say.

    Today's tokenizers make a token of about 4 ASCII characters of prose, 3 of code or figures, 2 with many accents and
    1 of most other scripts.
    """
    size = len(text)
    wide = len(text.encode("utf-8", "surrogatepass")) - size  # Bytes beyond ASCII: 1 for é, 2 for 語, 3 for an emoji.
    return -(-size // 3) + wide // 2
