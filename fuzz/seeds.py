"""Writes what a fuzz target begins with into a folder: samples, built-in documents, pictures of the tests, earlier findings."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
DATA = ROOT / "tests/data"
# As in src/fuzzing/body.rs.
HTTP = [200, 201, 202, 204, 400, 401, 402, 403, 404, 409, 410, 422, 425, 429, 500, 501]
FIRST = ["dimilinks", "dimilinks-legacy", "lemondata"]
LINKS = [
    "https://cdn.example:8443/a.png?X-Sig=a%2Fb", "/p/img/img_1/0?exp=1777166400000&sig=%41b+c", "//h.example/c#d",
    "HTTPS://API.Example.com.:443/v1/Tasks/7", "http://[0:0::0:1]:65535", "http://0x7f.1/", "?sig=3", "c/d?x=a:b", "img_1",
    "/v1/tasks/img_1", "https://api.example/v1/tasks/img_1", "data:image/png;charset=utf-8;base64,-_-_AA", "data:,%FB", "+/+/AA==",
    "https://u:p@h/a", "http://10.0.0.7:8080/p/img/img_1/0?exp=1", "https://example.com/\\a", "https://b\u00fccher.example/ a",
]


def body_seeds():
    documents = sorted(path.stem for path in (ROOT / "src/dialect/builtin").glob("*.json"))
    names = FIRST + [name for name in documents if name not in FIRST]
    provider = ""
    for line in (DATA / "INDEX.md").read_text().splitlines():
        if line.startswith("## "):
            provider = line[3:]
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) != 6 or not cells[2].isdigit() or provider not in names:
            continue
        request = {"look": 0, "submit": 1, "result": 3}[cells[1]]
        status = HTTP.index(int(cells[2])) if int(cells[2]) in HTTP else HTTP.index(500)
        yield bytes([names.index(provider), request | status << 2]) + (DATA / cells[0]).read_bytes()


def seeds(target):
    for path in sorted((ROOT / "fuzz/found" / target).glob("*")):
        yield path.read_bytes()
    if target == "body":
        yield from body_seeds()
    elif target == "document":
        for path in sorted((ROOT / "src/dialect/builtin").glob("*.json")):
            yield path.read_bytes()
    elif target == "link":
        for api in range(4):
            yield from (bytes([api]) + link.encode() for link in LINKS)
    else:
        for path in sorted((DATA / "pictures").iterdir()):
            yield from (bytes([flags, side]) + path.read_bytes() for flags, side in [(0, 0), (7, 2)])


def main():
    target, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target)):
        (folder / f"seed-{number}").write_bytes(seed)


main()
