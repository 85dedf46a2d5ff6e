"""What a page is made of, as far as the rules for pages ask."""

from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []  # text of each element, in the order of `elements`
        self._open: list[int] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.words.append("")
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.words.append("")

    def handle_endtag(self, tag):
        while self._open and self.elements[self._open.pop()][0] != tag:
            pass

    def handle_data(self, data):
        for place in self._open:
            self.words[place] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def texts(self, tag: str) -> list[str]:
        return [words.strip() for (name, _), words in zip(self.elements, self.words, strict=True) if name == tag]


def faults(html: str) -> list[str]:
    """What breaks the rules: nothing inline, nothing from elsewhere, everything named, one head, one main."""
    page = Page(html)
    return [*_inline(page), *_from_elsewhere(page), *_nameless(page), *_skeleton(page)]


def _inline(page: Page) -> list[str]:
    found = [f"<{tag} {name}>" for tag, attributes in page.elements for name in attributes if _is_inline(name)]
    found += ["<style>"] * len(page.all("style"))
    found += ["inline <script>" for attributes in page.all("script") if "src" not in attributes]
    return found + [f"script holds {words!r}" for words in page.texts("script") if words]


def _is_inline(name: str) -> bool:
    return name == "style" or name.startswith(("on", "hx-on"))


def _from_elsewhere(page: Page) -> list[str]:
    addresses = [
        attributes.get(name) or ""
        for tag, attributes in page.elements
        for name in ("src", "href", "srcset", "action")
        if tag != "a" and name in attributes
    ]
    return [f"from elsewhere: {address}" for address in addresses if "//" in address or address.startswith("data:")]


def _nameless(page: Page) -> list[str]:
    labels = {attributes.get("for") for attributes in page.all("label")}
    found = ["<img> without alt" for attributes in page.all("img") if "alt" not in attributes]
    for (tag, attributes), words in zip(page.elements, page.words, strict=True):
        named = words.strip() or attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
        if tag in ("button", "a") and not named:
            found.append(f"<{tag}> without a name: {attributes}")
        field = tag in ("input", "select", "textarea") and attributes.get("type") != "hidden"
        in_label = attributes.get("type") in ("checkbox", "radio")
        if field and not in_label and attributes.get("id") not in labels and not attributes.get("aria-label"):
            found.append(f"<{tag}> without a label: {attributes}")
    return found


def _skeleton(page: Page) -> list[str]:
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    found = [f"id {each} stands twice" for each in sorted({each for each in ids if ids.count(each) > 1})]
    found += [f"{len(page.all(tag))} <{tag}>" for tag in ("h1", "main", "title") if len(page.all(tag)) != 1]
    if not page.all("html")[0].get("lang"):
        found.append("no language")
    if not any(attributes.get("class") == "skip" for attributes in page.all("a")):
        found.append("no way to skip to the content")
    return found
