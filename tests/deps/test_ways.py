"""The ways of docs/architecture.md are those of the code, and the check that says so finds what is wrong."""

import re
from pathlib import Path

import pytest

import rooms
import ways

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
WANTED = ["A frame from guest to guest", "A VXLAN frame in", "A packet to a vip", "`port add`",
          "A registration until it is in the workers' table", "A DNS question"]


def test_the_code_goes_the_ways_of_the_page():
    assert ways.wrong_steps(ROOT, ways.read(PAGE)) == []


def test_every_way_is_there_and_has_steps():
    read = {way.name: way for way in ways.read(PAGE)}
    assert [name for name in WANTED if len(read[name].steps) < 8] == []


def test_every_function_that_the_page_names_is_there():
    assert len(ways.FUNCTION.findall(ways.section(PAGE, "Where to look"))) >= 20
    assert ways.missing(ROOT, PAGE) == []


def test_who_calls_whom_is_as_the_page_says():
    assert len(ways.CALLERS.findall(re.sub(r"\s+", " ", PAGE))) >= 10
    assert ways.wrong_callers(ROOT, PAGE) == []


@pytest.mark.parametrize("folder", ways.FOLDERS)
def test_the_page_lists_the_rooms_in_their_order(folder):
    text = ways.section(PAGE, "Rooms")
    listed = re.search(rf"^{folder}/ .*\n((?:  .*\n)+)", text, re.MULTILINE)
    order = rooms.rooms(ROOT, folder)
    assert re.findall(r"^  ([\w/]+)/ ", listed[1], re.MULTILINE) == order
    assert set(order) <= set(re.findall(r"[\w/]+", text.split("```")[1])), "the picture lacks a room"


CODE = {
    "dataplane/core/port.h": """
struct port_ops {
	const char *name; /* in the API */
	int (*open)(struct port *port);
	int (*rx)(struct port *port);
};
struct loop {
	struct event wake, *later;
	void (*told)(void *arg);
};
""",
    "dataplane/engine/loop.c": """
static int put(int x)
{
	return x;
}

int loop_turn(struct port *port)
{
	/* loop_nothing() is only spoken of, and so is "loop_nothing()" */
	event_active(&port->loop->wake, 0, 0);
	event_add(port->loop->later, NULL);
	kinds[port->kind](port);
	port->loop->told(NULL);
	put(1);
	return port->ops->rx(port);
}

static void (*const kinds[])(struct port *port) = {
	[0] = loop_kind,
};

void loop_on_told(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	loop->told = fn;
}

static void loop_kind(struct port *port) {}

void loop_nothing(void) {}

void loop_open(struct loop *loop)
{
	event_assign(&loop->wake, base, -1, 0, loop_nothing, loop);
	loop->later = evtimer_new(base, loop_nothing, loop);
	loop_on_told(loop, loop_nothing, loop);
}
""",
    "dataplane/vhost/rx.c": """
int vhost_rx(struct port *port)
{
	return put(1);
}

int vhost_open(struct port *port)
{
	return 0;
}

int put(int x)
{
	return x;
}

const struct port_ops vhost_ops = {.name = "vhost", .rx = vhost_rx};
static const struct port_ops more[] = {
	{"first", vhost_open, vhost_rx},
	{"second", vhost_open},
};
""",
}
LOOP, RX = "dataplane/engine/loop.c", "dataplane/vhost/rx.c"
FIRST = f"1. `{LOOP}: loop_turn`: It begins.\n"


@pytest.fixture
def tree(tmp_path):
    for name, text in CODE.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def wrong(tree, steps, files):
    page = f"# P\n\n## The ways through\n\n### W\n\nIt crosses **{files} files**.\n\n{steps}\n## Words\n"
    return [(number, why) for _, number, why in ways.wrong_steps(tree, ways.read(page))]


@pytest.mark.parametrize("step, files", [
    (f"2. `{RX}: vhost_rx` (through `port_ops.rx`): By a member,\n   and on two lines.\n3. `{RX}: put`: Directly.\n", 2),
    (f"2. `{LOOP}: loop_kind` (through `kinds`): By an array.\n", 1),
    (f"2. `{LOOP}: loop_nothing` (through the event `loop.wake`): By an event.\n", 1),
    (f"2. `{LOOP}: loop_nothing` (from `loop_turn`, through the event `loop.later`): By a timer.\n", 1),
    (f"2. `{LOOP}: loop_nothing` (through `loop.told`): By a member that a function sets.\n", 1),
    (f"2. `{RX}: vhost_rx` (from `{LOOP}: loop_turn`, through `port_ops.rx`): With its file.\n", 2),
])
def test_a_way_that_the_code_goes_is_right(tree, step, files):
    assert wrong(tree, FIRST + step, files) == []


@pytest.mark.parametrize("step, why", [
    ("2. `dataplane/vhost/tx.c: vhost_rx` (through `port_ops.rx`): X.", "there is no file dataplane/vhost/tx.c"),
    (f"2. `{LOOP}: vhost_rx` (through `port_ops.rx`): X.", f"{LOOP} defines no vhost_rx"),
    (f"2. `{RX}: vhost_tx`: X.", f"{RX} defines no vhost_tx"),
    (f"2. `{RX}: vhost_rx`: X.", f"{LOOP}: loop_turn does not call vhost_rx"),
    (f"2. `{LOOP}: loop_nothing`: X.", f"{LOOP}: loop_turn does not call loop_nothing"),
    (f"2. `{RX}: put`: X.", f"{LOOP}: loop_turn calls another put than that of {RX}"),
    (f"2. `{RX}: vhost_rx` (through `port_ops.tx`): X.", "there is no port_ops.tx"),
    (f"2. `{RX}: vhost_rx` (through `ops.rx`): X.", "there is no ops.rx"),
    (f"2. `{RX}: vhost_open` (through `port_ops.open`): X.", f"{LOOP}: loop_turn does not call port_ops.open"),
    (f"2. `{RX}: vhost_open` (through `port_ops.rx`): X.", "nothing puts vhost_open into port_ops.rx"),
    (f"2. `{LOOP}: loop_kind` (through `loop.told`): X.", "nothing puts loop_kind into loop.told"),
    (f"2. `{LOOP}: loop_nothing` (through `kinds`): X.", "kinds does not hold loop_nothing"),
    (f"2. `{LOOP}: loop_kind` (through `types`): X.", f"{LOOP} has no array types of functions"),
    (f"2. `{LOOP}: loop_kind` (through the event `loop.wake`): X.", "loop_kind is not the handler of loop.wake"),
    (f"2. `{LOOP}: loop_kind` (through the event `loop.told`): X.", f"{LOOP}: loop_turn does not use the event loop.told"),
    (f"2. `{LOOP}: put` (from `vhost_rx`): X.", "vhost_rx is no step before it"),
    (f"3. `{LOOP}: put`: X.", "is number 2"),
])
def test_a_step_that_the_code_does_not_go_is_found(tree, step, why):
    files = 2 if "/vhost/" in step.partition(":")[0] else 1
    assert wrong(tree, f"{FIRST}{step}\n", files) == [(int(step[0]), why)]


def test_a_wrong_count_of_files_is_found(tree):
    assert wrong(tree, FIRST, 2) == [(0, "crosses 1 files")]


@pytest.mark.parametrize("line", [f"2. {LOOP}: put: X.", f"2. `{LOOP}` put: X.", f"2. `{LOOP}: put`", f"2. `{LOOP}: put` X."])
def test_a_step_that_cannot_be_read_is_found(tree, line):
    assert wrong(tree, f"{FIRST}{line}\n", 1) == [(0, f"not understood: {line}")]


def test_a_function_that_is_only_named_and_not_there_is_found(tree):
    page = f"Look at `{LOOP}: loop_turn`, `{LOOP}: loop_gone` and `dataplane/gone.c: put`.\n"
    assert ways.missing(tree, page) == [f"{LOOP}: loop_gone", "dataplane/gone.c: put"]


@pytest.mark.parametrize("named, why", [
    (f"`{RX}: put` called by `{RX}: vhost_rx`", []),
    (f"`{RX}: put` called only by\n`{RX}: vhost_rx`", []),
    (f"`{RX}: put` called by `{RX}: vhost_open`", [f"{RX}: vhost_open does not call it"]),
    (f"`{RX}: put` called only by `{RX}: vhost_rx` and `{LOOP}: loop_turn`", [f"{LOOP}: loop_turn does not call it"]),
    (f"`{LOOP}: loop_on_told` called by `{LOOP}: loop_open`", []),
    (f"`{LOOP}: loop_on_told` called only by `{LOOP}: loop_turn`",
     [f"{LOOP}: loop_turn does not call it", f"{LOOP}: loop_open calls it, too"]),
])
def test_a_caller_that_is_none_and_one_too_many_are_found(tree, named, why):
    assert [w for _, w in ways.wrong_callers(tree, f"See {named}, and more.\n")] == why
