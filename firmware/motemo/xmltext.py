"""Text for writers of XML; a module of its own, because senders need no parser."""


def escape(text: str) -> str:
    """Text as XML character data; a character that XML cannot carry becomes U+FFFD."""
    for c in text:
        if c < " " and c not in "\t\r\n" or "\ud800" <= c <= "\udfff" or c in "\ufffe\uffff":
            text = text.replace(c, "\ufffd")
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def quote(text: str) -> str:
    """Text as an attribute's value, with its quotes."""
    return "'" + escape(text).replace("'", "&apos;").replace("\t", "&#9;").replace("\n", "&#10;") + "'"
