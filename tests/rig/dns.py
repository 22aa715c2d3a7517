"""DNS as dig and kdig see it: one question, one message."""

import re
from dataclasses import dataclass, field

from rig.process import run

SECTIONS = {"ANSWER": "answer", "AUTHORITY": "authority", "ADDITIONAL": "additional"}


@dataclass
class Message:
    """Records are lists of words: [name, ttl, class, type, data...], names in lower case."""

    status: str = ""
    flags: frozenset = frozenset()
    answer: list = field(default_factory=list)
    authority: list = field(default_factory=list)
    additional: list = field(default_factory=list)
    edns: bool = False
    text: str = ""

    def data(self, kind):
        """The data of the answers of this type, sorted."""
        return sorted(" ".join(record[4:]) for record in self.answer if record[3] == kind)


def parse(text):
    """Reads what dig or kdig print."""
    message, section = Message(text=text), None
    for line in text.splitlines():
        status = re.search(r"status: (\w+)", line)
        flags = re.match(r";; [Ff]lags: ([\w ]*)", line)
        heading = re.match(r";; (\w+) (SECTION|PSEUDOSECTION)", line)
        if status:
            message.status = status[1]
        if flags:
            message.flags = frozenset(flags[1].split())
        if re.search("EDNS", line):
            message.edns = True
        if heading:
            section = SECTIONS.get(heading[1]) if heading[2] == "SECTION" else None
        elif line and not line.startswith(";") and section:
            words = line.split()
            getattr(message, section).append([words[0].lower(), *words[1:]])
    return message


def dig(port, name, kind="A", *options, netns=None, server="127.0.0.1", check=True, tool="dig"):
    """Asks `server`:`port`, from inside `netns` when given. `options` are dig's: "+tcp", "+noedns"."""
    words = [tool, f"@{server}", "-p", str(port)]
    words += ["+time=5", "+tries=2"] if tool == "dig" else ["+timeout=5", "+retry=1"]
    words += [name, kind, *options]
    done = netns.run(*words, check=check) if netns else run(words, check=check)
    return parse(done.stdout + (done.stderr or ""))
