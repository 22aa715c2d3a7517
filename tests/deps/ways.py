"""The ways of docs/architecture.md ("The ways through"), and whether the code goes them.

A step is "N. `FILE: FUNCTION`: what it does". Its caller is the step before it, or the one that it names "(from
`FUNCTION`)" or "(from `FILE: FUNCTION`)". It calls the function by its name, or "(through ...)":

    `port_ops.rx`                         calls this member, into which the function is put somewhere
    `check_owner.changed`, `check.changed`  is put into the first of these members, and called as the last
    `kinds`                               calls an element of this array of the caller's file
    the event `checks.pump`               adds or activates this event, whose handler the function is
"""

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

FOLDERS = ("dataplane", "registry", "control")

FUNCTION = re.compile(r"`([\w/.-]+\.[ch]): (\w+)`")
STEP = re.compile(r"^(\d+)\. `([\w/.-]+\.[ch]): (\w+)`(?: \(([^()]*)\))?: (\S.*)$")
CALLERS = re.compile(r"`([\w/.-]+\.[ch]): (\w+)`,? called (only )?by ((?:`[\w/.-]+\.[ch]: \w+`(?:, | and )?)+)")
COUNT = re.compile(r"\*\*(\d+) files\*\*")
NOT_CODE = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", re.DOTALL)


@dataclass
class Step:
    number: int
    file: str
    function: str
    caller: str = ""  # as the page names it; "": the step before
    through: list = field(default_factory=list)  # ["port_ops.rx"], ["kinds"]
    event: bool = False

    def __str__(self):
        return f"{self.file}: {self.function}"


@dataclass
class Way:
    name: str
    files: int = 0  # as the page says
    steps: list = field(default_factory=list)


def _step(found):
    step = Step(int(found[1]), found[2], found[3])
    for how in (found[4] or "").split(", through "):
        names = re.findall(r"`([^`]+)`", how)
        if how.startswith("from "):
            step.caller = names[0]
        elif how:
            step.through, step.event = names, "the event " in how
    return step


def section(page, heading):
    """The text below a heading of the second level."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def read(page):
    """[Way] of the page's text."""
    ways = []
    for part in re.split(r"^### ", section(page, "The ways through"), flags=re.MULTILINE)[1:]:
        name, _, text = part.partition("\n")
        way = Way(name)
        count = COUNT.search(text)
        way.files = int(count[1]) if count else 0
        for line in re.sub(r"\n +", " ", text).splitlines():
            if re.match(r"\d+\. ", line):
                found = STEP.match(re.sub(r"\(through ", "(, through ", line, count=1))
                way.steps.append(_step(found) if found else line)
        ways.append(way)
    return ways


def _blank(found):
    text = found[0]
    return '""' if text[0] == '"' else "0" if text[0] == "'" else " " + "\n" * text.count("\n")


def _braced(text, at):
    """What is between the brace at `at` and its partner."""
    depth = 0
    for i in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[at + 1:i]
    return text[at + 1:]


def _items(text):
    """The parts of an initialiser or of a list of arguments, between the commas that are in no bracket."""
    items, depth, begin = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "{([") - (c in "})]")
        if c == "," and depth == 0:
            items.append(text[begin:i].strip())
            begin = i + 1
    return items + [text[begin:].strip()]


class Source:
    """A file of C: its functions, and what each of them says."""

    def __init__(self, path):
        self.path = path
        self.text = NOT_CODE.sub(_blank, path.read_text(errors="replace"))

    @cached_property
    def functions(self):
        """{name: (whether it is static, its parameters, its body)}"""
        found = {}
        for at in re.finditer(r"^\{\n(.*?)^\}|\) \{\}$", self.text, re.MULTILINE | re.DOTALL):
            head = re.split(r"[;}]\s*\n|^#[^\n]*\n|\n\n", self.text[:at.start() + 1 - (at[1] is not None)])[-1]
            head = re.sub(r"__attribute__\(\(.*?\)\)", "", head, flags=re.DOTALL)
            head = re.sub(r"\b[A-Z_]+\((\w+)\)\s*$", r"\1()", head)  # API_HANDLER(port_add)
            name = re.search(r"(\w+)\s*\((.*)\)\s*$", head, re.DOTALL)
            if name:
                found[name[1]] = (bool(re.search(r"\bstatic\b", head)), _items(name[2]), at[1] or "")
        return found

    def name(self, root):
        return self.path.relative_to(root).as_posix()

    def defines(self, function):
        return function in self.functions

    def body(self, function):
        return self.functions[function][2]

    def sees(self, function, home):
        """Does the name stand here for the function of file `home`?"""
        hidden = home.functions[function][0] and home.path.suffix == ".c"
        return self is home or not (self.defines(function) or hidden)


@lru_cache(maxsize=None)
def _source(path):
    return Source(path)


class Tree:
    def __init__(self, root):
        self.root = Path(root)

    def source(self, file):
        """The file, None: there is none."""
        path = self.root / file
        return _source(path) if path.is_file() else None

    @cached_property
    def all(self):
        return [_source(p) for folder in FOLDERS for p in sorted((self.root / folder).rglob("*.[ch]"))]

    def members(self, struct):
        """The names of a structure's members, in their order; [] when there is none."""
        for source in self.all:
            found = re.search(rf"^struct {struct} \{{", source.text, re.MULTILINE)
            if found:
                body = _braced(source.text, found.end() - 1)
                names = []
                for part in re.sub(r"\{[^{}]*\}", "", body).split(";"):
                    pointer = re.search(r"\(\*(?:const )?(\w+)\)\s*\(", part)
                    names += [pointer[1]] if pointer else [
                        re.findall(r"\w+", re.sub(r"\[.*?\]|:.*", "", one))[-1]
                        for one in part.split(",") if re.search(r"\w", re.sub(r"\[.*?\]|:.*", "", one))]
                return names
        return []

    def _initialisers(self, source, struct):
        """The braced lists that say what a structure of this kind holds, those of an array one by one."""
        for found in re.finditer(rf"\bstruct {struct}\b[^;{{}}()=]*=\s*\{{|\(struct {struct}\)\s*\{{", source.text):
            items = _items(_braced(source.text, found.end() - 1))
            yield items
            for item in items:
                at = item.find("{")
                if at >= 0 and (at == 0 or item.startswith("[")):
                    yield _items(_braced(item, at))

    def _set_by(self, source, member):
        """[(function, n)] of functions of the file that put their n-th parameter into the member."""
        for name, (_, parameters, body) in source.functions.items():
            for put in re.finditer(rf"(?:->|\.){member} = (\w+)[,;]", body):
                for n, parameter in enumerate(parameters):
                    if re.search(rf"\b{put[1]}\b", parameter):
                        yield name, n

    def is_put(self, function, home, struct, member):
        """Is the function put into the member: by an initialiser, an assignment, or a function that does that?"""
        at = self.members(struct).index(member)
        for source in self.all:
            if not source.sees(function, home) or not re.search(rf"\b{function}\b", source.text):
                continue
            if re.search(rf"(?:->|\.){member} = {function};", source.text):
                return True
            for items in self._initialisers(source, struct):
                if f".{member} = {function}" in items:
                    return True
                if at < len(items) and items[at] == function:
                    return True
            for setter, n in [s for other in self.all for s in self._set_by(other, member)]:
                for call in re.finditer(rf"\b{setter}\s*\(", source.text):
                    arguments = _items(re.split(r"\)\s*[;<{{]", source.text[call.end():], maxsplit=1)[0])
                    if n < len(arguments) and arguments[n].rstrip(")") == function:
                        return True
        return False

    def is_handler(self, function, home, member):
        """Is the function the handler of the event that is kept in the member?"""
        handler = rf"(?:event_assign\([^;]*\b{member}\b|\b{member} = (?:event|evtimer)_new\()[^;]*\b{function}\b"
        return any(source.sees(function, home) and re.search(handler, source.text) for source in self.all)


    def callers(self, function, home):
        """{"FILE: FUNCTION"} of all that call a function of file `home` by its name."""
        call, found = re.compile(rf"\b{function}\s*\("), set()
        for source in self.all:
            if source.sees(function, home) and call.search(source.text):
                found |= {f"{source.name(self.root)}: {name}" for name, (_, _, body) in source.functions.items()
                          if call.search(body)}
        return found


def _directly(tree, caller, source, step, home):
    if not re.search(rf"\b{step.function}\s*\(", source.body(caller.function)):
        return f"{caller} does not call {step.function}"
    if not source.sees(step.function, home):
        return f"{caller} calls another {step.function} than that of {step.file}"
    return None


def _by_array(tree, caller, source, step, home):
    array = step.through[0]
    found = re.search(rf"\(\*\s*(?:const )?{array}\[\w*\]\)\s*\([^;]*?\)\s*=\s*\{{", source.text)
    if not found:
        return f"{caller.file} has no array {array} of functions"
    if not re.search(rf"\b{step.function}\b", _braced(source.text, found.end() - 1)) or not source.sees(step.function, home):
        return f"{array} does not hold {step.function}"
    if not re.search(rf"\b{array}\[[^;]*?\]\s*\(", source.body(caller.function)):
        return f"{caller} does not call an element of {array}"
    return None


def _by_member(tree, caller, source, step, home):
    for name in step.through:
        struct, _, member = name.partition(".")
        if member not in tree.members(struct):
            return f"there is no {name}"
    into, member = step.through[0].split("."), step.through[-1].split(".")[1]
    if step.event:
        if not re.search(rf"\bevent_(?:add|active)\([^;]*\b{member}\b", source.body(caller.function)):
            return f"{caller} does not use the event {step.through[-1]}"
        if not tree.is_handler(step.function, home, member):
            return f"{step.function} is not the handler of {step.through[-1]}"
        return None
    if not re.search(rf"(?:->|\.){member}\s*\(", source.body(caller.function)):
        return f"{caller} does not call {step.through[-1]}"
    if not tree.is_put(step.function, home, *into):
        return f"nothing puts {step.function} into {step.through[0]}"
    return None


def _caller(way, i):
    """The step that calls the i-th one, None: the page names none that is there."""
    wanted = way.steps[i].caller
    for step in reversed(way.steps[:i]):
        if not wanted or wanted in (step.function, str(step)):
            return step
    return None


def _wrong(tree, way, i):
    """What is wrong with the i-th step of a way, None: nothing."""
    step = way.steps[i]
    home = tree.source(step.file)
    if not home:
        return f"there is no file {step.file}"
    if not home.defines(step.function):
        return f"{step.file} defines no {step.function}"
    if i == 0:
        return None
    caller = _caller(way, i)
    source = tree.source(caller.file) if caller else None
    if not caller:
        return f"{step.caller} is no step before it"
    if not source or not source.defines(caller.function):
        return None  # that has been said of the caller
    how = _by_member if "." in "".join(step.through) else _by_array if step.through else _directly
    return how(tree, caller, source, step, home)


def wrong_steps(root, ways):
    """[(way, number of the step, what is wrong)]; number 0: the way as a whole."""
    tree, found = Tree(root), []
    for way in ways:
        unreadable = [s for s in way.steps if isinstance(s, str)]
        if unreadable:
            found += [(way.name, 0, f"not understood: {line}") for line in unreadable]
            continue
        for i, step in enumerate(way.steps):
            why = f"is number {i + 1}" if step.number != i + 1 else _wrong(tree, way, i)
            if why:
                found.append((way.name, step.number, why))
        files = len({step.file for step in way.steps})
        if files != way.files:
            found.append((way.name, 0, f"crosses {files} files"))
    return found


def missing(root, page):
    """["FILE: FUNCTION"] of all that the page names so and the code does not have."""
    tree = Tree(root)
    return [f"{file}: {function}" for file, function in FUNCTION.findall(page)
            if not tree.source(file) or not tree.source(file).defines(function)]


def wrong_callers(root, page):
    """[(function, what is wrong)] of "`FILE: FUNCTION`, called by `FILE: FUNCTION` and ...", or "called only by"."""
    tree, found = Tree(root), []
    for file, function, only, named in CALLERS.findall(re.sub(r"\s+", " ", page)):
        home = tree.source(file)
        if not home or not home.defines(function):
            continue  # see missing()
        named, there = {f"{f}: {name}" for f, name in FUNCTION.findall(named)}, tree.callers(function, home)
        found += [(f"{file}: {function}", f"{name} does not call it") for name in sorted(named - there)]
        found += [(f"{file}: {function}", f"{name} calls it, too") for name in sorted(there - named) if only]
    return found
