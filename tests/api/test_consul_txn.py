"""Transactions of keys (PUT /v1/txn): all of their operations take effect, as one change, or none does."""

import base64
import http.client
import json
import os
import random

import pytest

from rig import journal
from rig.consul import Waiting
from rig.crash import kill_amid

MB = 1 << 20


def op(verb, key, value=None, **fields):
    body = {"Verb": verb, "Key": key, **fields}
    if value is not None:
        body["Value"] = base64.b64encode(value.encode()).decode()
    return {"KV": body}


def txn(consul, *ops, **query):
    return consul.put("txn", list(ops), **query)


def results(reply):
    assert reply.status == 200 and reply.json["Errors"] is None, reply
    return [result["KV"] for result in reply.json["Results"]]


def errors(reply):
    assert reply.status == 409 and reply.json["Results"] is None, reply
    return [(error["OpIndex"], error["What"]) for error in reply.json["Errors"]]


def session(consul, **fields):
    return consul.put("session/create", {"LockDelay": "0s", **fields}).json["ID"]


def raw(consul, key):
    reply = consul.get(f"kv/{key}", raw=None)
    return reply.body.decode() if reply.status == 200 else None


def test_every_verb(consul):
    owner = session(consul)
    first, second = results(txn(consul, op("set", "a", "1", Flags=7), op("get", "a")))
    assert first == {"LockIndex": 0, "Key": "a", "Flags": 7, "Value": None, "CreateIndex": first["ModifyIndex"],
                     "ModifyIndex": first["ModifyIndex"]}
    assert second == {**first, "Value": "MQ=="}
    index = first["ModifyIndex"]
    assert consul.get("kv/a").json == [second]
    assert results(txn(consul, op("cas", "a", "2", Index=index)))[0]["ModifyIndex"] > index
    assert results(txn(consul, op("cas", "new", "3", Index=0)))[0]["Key"] == "new"
    locked, = results(txn(consul, op("lock", "a", "4", Session=owner)))
    assert (locked["Session"], locked["LockIndex"]) == (owner, 1)
    assert results(txn(consul, op("check-session", "a", Session=owner)))[0] == locked
    assert results(txn(consul, op("check-index", "a", Index=locked["ModifyIndex"])))[0] == locked
    assert results(txn(consul, op("set", "a", "5")))[0]["Session"] == owner  # a set leaves the lock
    assert "Session" not in results(txn(consul, op("unlock", "a", "6", Session=owner)))[0]
    assert results(txn(consul, op("check-not-exists", "none"))) == []
    assert results(txn(consul, op("get-or-empty", "none"), op("get-or-empty", "new"))) == [
        {"LockIndex": 0, "Key": "none", "Flags": 0, "Value": None, "CreateIndex": 0, "ModifyIndex": 0},
        consul.get("kv/new").json[0]]
    txn(consul, op("set", "t/1", "x"), op("set", "t/2", "y"), op("set", "u", "z"))
    assert [entry["Key"] for entry in results(txn(consul, op("get-tree", "t/")))] == ["t/1", "t/2"]
    assert results(txn(consul, op("delete-tree", "t/"), op("delete", "u"), op("delete", "u"))) == []
    assert consul.get("kv/", keys=None).json == ["a", "new"]
    index = consul.get("kv/new").json[0]["ModifyIndex"]
    assert results(txn(consul, op("delete-cas", "new", Index=index), op("delete-cas", "none", Index=5))) == []
    assert consul.get("kv/", keys=None).json == ["a"]


def test_what_fails_says_why(consul):
    """Texts are Consul's: some clients read them."""
    mine, other = session(consul), session(consul)
    txn(consul, op("set", "a", "1"), op("lock", "held", Session=other))
    index = consul.get("kv/a").json[0]["ModifyIndex"]
    cases = [
        (op("cas", "a", "2", Index=index + 1), 'failed to set key "a", index is stale'),
        (op("cas", "a", "2", Index=0), 'failed to set key "a", index is stale'),
        (op("cas", "none", "2", Index=1), 'failed to set key "none", index is stale'),
        (op("delete-cas", "a", Index=index + 1), 'failed to delete key "a", index is stale'),
        (op("delete-cas", "a", Index=0), 'failed to delete key "a", index is stale'),
        (op("lock", "held", Session=mine), 'failed to lock key "held", lock is already held'),
        (op("lock", "a"), "missing session"),
        (op("lock", "a", Session="nobody"), 'invalid session "nobody"'),
        (op("unlock", "held", Session=mine), 'failed to unlock key "held", lock isn\'t held, or is held by another session'),
        (op("unlock", "a"), "missing session"),
        (op("get", "none"), 'key "none" doesn\'t exist'),
        (op("check-index", "a", Index=1), f'failed index check for key "a", current modify index {index} != 1'),
        (op("check-index", "none", Index=5), 'failed to check index, key "none" doesn\'t exist'),
        (op("check-session", "a", Session=mine), f'failed session check for key "a", current session "" != "{mine}"'),
        (op("check-session", "none", Session=mine), 'failed to check session, key "none" doesn\'t exist'),
        (op("check-not-exists", "a"), 'key "a" exists'),
        (op("fetch", "a"), 'unknown KV verb "fetch"'),
        (op("", "a"), 'unknown KV verb ""'),
        (op("set", "", "1"), "Must provide key"),
        (op("get-tree", ""), "Must provide key"),
        (op("set", "k" * 10_000, "1"), "key: is longer than 512 bytes or not printable"),
        (op("set", "a\nb", "1"), "key: is longer than 512 bytes or not printable"),
    ]
    for operation, what in cases:
        assert errors(txn(consul, op("set", "before", "1"), operation, op("set", "behind", "1"))) == [(1, what)], operation
    assert consul.get("kv/", keys=None).json == ["a", "held"] and raw(consul, "a") == "1"


def test_all_that_is_wrong_is_told(consul):
    reply = txn(consul, op("get", "a"), op("set", "b", "1"), op("get", "b"), op("check-not-exists", "b"), op("get", "c"))
    assert errors(reply) == [(0, 'key "a" doesn\'t exist'), (3, 'key "b" exists'), (4, 'key "c" doesn\'t exist')]
    assert consul.get("kv/", keys=None).json == []


def test_each_operation_sees_those_before_it(consul):
    consul.put("kv/t/old", b"0")
    reply = txn(consul, op("set", "t/a", "1"), op("get", "t/a"), op("set", "t/a", "2"), op("get-tree", "t/"), op("delete", "t/old"),
                op("check-not-exists", "t/old"), op("get-tree", "t/"), op("delete-tree", "t/"), op("get-or-empty", "t/a"),
                op("cas", "t/a", "3", Index=0), op("get-tree", "t"))
    assert [(entry["Key"], entry["Value"]) for entry in results(reply)] == [
        ("t/a", None), ("t/a", "MQ=="), ("t/a", None), ("t/a", "Mg=="), ("t/old", "MA=="), ("t/a", "Mg=="), ("t/a", None),
        ("t/a", None), ("t/a", "Mw==")]
    assert consul.get("kv/", keys=None).json == ["t/a"]


def test_it_has_one_index_and_wakes_once(consul):
    consul.put("kv/t/a", b"0")
    index = consul.get("kv/t/", recurse=None).index
    waiting = Waiting(consul, "kv/t/", recurse=None, index=index, wait="60s")
    assert waiting.waits()
    entries = results(txn(consul, *[op("set", f"t/{i}", str(i)) for i in range(10)], op("delete", "t/a")))
    woken = waiting.result()
    assert {entry["ModifyIndex"] for entry in entries} == {woken.index} and woken.index == index + 1
    assert [entry["Key"] for entry in woken.json] == [f"t/{i}" for i in range(10)]
    again = Waiting(consul, "kv/t/", recurse=None, index=woken.index, wait="60s")
    assert again.waits()
    assert txn(consul, op("set", "t/0", "0"), op("get", "t/1")).status == 200  # changes nothing
    assert txn(consul, op("set", "t/0", "x"), op("get", "none")).status == 409
    assert again.waits()
    consul.put("kv/t/0", b"x")
    assert again.result().index == woken.index + 1


def test_a_lock_delay_holds_for_transactions(consul):
    first, second = session(consul, LockDelay="60s"), session(consul)
    txn(consul, op("lock", "a", Session=first))
    consul.put(f"session/destroy/{first}")
    assert errors(txn(consul, op("set", "b", "1"), op("lock", "a", Session=second), op("get", "none"))) == [
        (1, 'failed to lock key "a" due to lock delay')]
    assert consul.get("kv/b").status == 404
    assert txn(consul, op("set", "a", "1")).status == 200


def test_numbers_have_64_bits(consul):
    for flags in (2**63 - 1, 2**63, 2**64 - 1):
        entry, = results(txn(consul, op("set", "a", "1", Flags=flags)))
        assert entry["Flags"] == consul.get("kv/a").json[0]["Flags"] == flags
    assert errors(txn(consul, op("check-index", "a", Index=2**64 - 1)))[0][1].endswith(f"!= {2**64 - 1}")


BAD = [
    ("", "empty"), ("{", "Failed to parse body"), ("{}", "must be a list"), ("[1]", "op 0: KV: must be an object"),
    ("[null]", "op 0: KV"), ("[{}]", "op 0: KV"), ('[{"KV": 5}]', "op 0: KV"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Flags": 18446744073709551616}}]', "KV.Flags: must be an integer from 0 to 2^64 - 1"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Flags": -9223372036854775809}}]', "KV.Flags"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Flags": 1.5}}]', "KV.Flags"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Flags": 1e3}}]', "KV.Flags"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Flags": "5"}}]', "KV.Flags"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Flags": "9223372036854775808"}}]', "KV.Flags"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Flags": 000000000000000000000001}}]', "Failed to parse body"),
    ('[{"KV": {"Verb": "cas", "Key": "a", "Index": []}}]', "KV.Index"),
    ('[{"KV": {"Verb": "set", "Key": 18446744073709551615}}]', "KV.Key: must be a string"),
    ('[{"KV": {"Verb": "set", "Key": ["a"]}}]', "KV.Key: must be a string"),
    ('[{"KV": {"Verb": "set", "Key": "a", "Value": 99999999999999999999}}]', "KV.Value: must be a string"),
    *[('[{"KV": {"Verb": "set", "Key": "a", "Value": "%s"}}]' % value, "KV.Value: illegal base64 data")
      for value in ("A", "AA", "AAA", "AA=", "A===", "====", "AA==AA==", "A A=", "AA-_", "=AAA", "AA=A", "\\u00e4AAA", "AAAA\\n")],
]


@pytest.mark.parametrize("body, text", BAD)
def test_bad_bodies(consul, body, text):
    reply = consul.put("txn", body)
    assert reply.status == 400 and text in reply.text and "\n" not in reply.text
    assert consul.get("kv/", keys=None).json == []


def test_values_come_back_as_they_were(consul):
    dice = random.Random(4)
    values = {f"v{length}": dice.randbytes(length) for length in (0, 1, 2, 3, 4, 63, 64, 65, 1000)}
    txn(consul, *[{"KV": {"Verb": "set", "Key": key, "Value": base64.b64encode(value).decode()}} for key, value in values.items()])
    for key, value in values.items():
        assert consul.get(f"kv/{key}", raw=None).body == value
    for entry in results(txn(consul, *[op("get", key) for key in values])):
        assert base64.b64decode(entry["Value"] or "") == values[entry["Key"]]


def test_fields_in_either_spelling(consul):
    assert consul.put("txn", [{"kv": {"verb": "set", "key": "a", "value": "MQ==", "flags": 3}}]).status == 200
    assert consul.get("kv/a").json[0]["Flags"] == 3 and raw(consul, "a") == "1"


def test_pretty(consul):
    reply = txn(consul, op("set", 'a"{', "1"), op("get", 'a"{'), pretty=None)
    assert reply.text == json.dumps(reply.json, indent=4)


def test_one_that_only_reads_says_so(consul):
    consul.put("kv/a", b"1")
    reply = txn(consul, op("get", "a"), op("check-not-exists", "b"), op("get-or-empty", "b"))
    assert (reply.headers["X-Consul-KnownLeader"], reply.headers["X-Consul-LastContact"]) == ("true", "0")
    assert "X-Consul-KnownLeader" not in txn(consul, op("get", "a"), op("set", "b", "1")).headers


def test_an_empty_one(consul):
    index = consul.get("kv/", keys=None).index
    assert consul.put("txn", []).json == {"Results": [], "Errors": None}
    assert consul.get("kv/", keys=None).index == index


def test_operations_are_bounded(consul):
    assert txn(consul, *[op("set", f"k{i}", "1") for i in range(64)]).status == 200
    reply = txn(consul, *[op("set", f"m{i}", "1") for i in range(65)])
    assert (reply.status, reply.text) == (413, "Transaction contains too many operations (65 > 64)")
    assert len(consul.get("kv/", keys=None).json) == 64


def test_values_and_bodies_are_bounded(consul):
    assert txn(consul, op("set", "a", "x" * (512 * 1024))).status == 200
    reply = txn(consul, op("set", "b", "x"), op("set", "a", "x" * (512 * 1024 + 1)))
    assert (reply.status, reply.text) == (413, 'Value for key "a" is too large (524289 > 524288 bytes)')
    assert consul.get("kv/b").status == 404
    try:  # the daemon may not read on when it has seen how long the body is
        assert txn(consul, *[op("set", f"m{i}", "x" * (512 * 1024)) for i in range(64)]).status == 413
    except ConnectionError:
        pass
    assert consul.get("kv/", keys=None).json == ["a"]


def test_what_it_is_answered_with_is_bounded(consul):
    for i in range(30):
        consul.put(f"kv/t/{i:02}", b"x" * (512 * 1024))
    assert len(results(txn(consul, op("get-tree", "t/0"), op("get-tree", "t/1")))) == 20
    refused = "the answer has more than 4096 keys or 16 MB: ask for less of it"
    assert errors(txn(consul, op("set", "a", "1"), op("get-tree", "t/"))) == [(1, refused)]
    assert errors(txn(consul, *[op("get", "t/00") for _ in range(64)]))[0][1] == refused
    assert consul.get("kv/a").status == 404
    for first in range(0, 4096, 64):
        txn(consul, *[op("set", f"s/{i}", "1") for i in range(first, first + 64)])
    assert len(results(txn(consul, op("get-tree", "s/")))) == 4096
    assert errors(txn(consul, op("get", "s/1"), op("get-tree", "s/"))) == [(1, refused)]
    assert {index for index, _ in errors(txn(consul, *[op("get-tree", "s/") for _ in range(64)]))} == set(range(1, 64))


def test_a_tree_to_delete_is_bounded(consul):
    for first in range(0, 4096, 64):
        txn(consul, *[op("set", f"t/{i}", "1") for i in range(first, first + 64)])
    consul.put("kv/t/more", b"1")
    (index, what), = errors(txn(consul, op("set", "a", "1"), op("delete-tree", "t/")))
    assert index == 1 and what == 'more than 4096 keys would change with those of "t/": DELETE /v1/kv/t/?recurse takes any number'
    assert len(consul.get("kv/", keys=None).json) == 4097
    index, what = errors(txn(consul, op("delete-tree", "t/1"), op("delete-tree", "t/2"), op("delete-tree", "t/")))[0]
    assert index == 2 and "more than 4096 keys" in what  # all of them together
    consul.request("DELETE", "kv/t/more")
    assert txn(consul, op("delete-tree", "t/"), op("set", "t/0", "new")).status == 200
    assert consul.get("kv/", keys=None).json == ["t/0"] and raw(consul, "t/0") == "new"


def test_keys_and_values_together_are_bounded(start_consul):
    daemon, consul = start_consul(kv_mb=1)
    assert txn(consul, op("set", "a", "x" * 400_000), op("set", "b", "x" * 200_000)).status == 200
    reply = txn(consul, op("set", "c", "x" * 300_000), op("set", "d", "x" * 200_000), op("get", "a"))
    assert reply.status == 507 and "control.kv_mb" in reply.text
    assert consul.get("kv/", keys=None).json == ["a", "b"]
    assert txn(consul, op("set", "c", "x" * 300_000), op("delete", "b"), op("set", "d", "x" * 200_000)).status == 200
    assert txn(consul, op("set", "a", "x" * 300_000)).status == 200  # less than it was
    consul.request("DELETE", "kv/", recurse=None)
    assert "\nsluice_kv_bytes 0\n" in consul.request("GET", "/metrics").text


def test_it_is_durable_when_asked_for(start_consul):
    daemon, consul = start_consul()
    entries = results(txn(consul, op("set", "a", "1", Flags=2**63), op("set", "b", "2"), durable=None))
    daemon.kill()
    daemon.start()
    assert [consul.get(f"kv/{key}").json[0]["ModifyIndex"] for key in "ab"] == [entry["ModifyIndex"] for entry in entries]
    assert results(txn(consul, op("cas", "a", "3", Index=entries[0]["ModifyIndex"])))


def test_what_a_crash_leaves_half_written_is_completed(start_consul):
    """The file ends in the middle of a transaction: behind its record and the first of the keys."""
    daemon, consul = start_consul()
    txn(consul, op("set", "a", "old"), op("set", "gone", "old"), durable=None)
    daemon.kill()
    new, other = '["bmV3",0,1,900,0,""]', '["MQ==",0,900,900,0,""]'
    redo = json.dumps([["kv/a", new], ["kv/gone", None], ["kv/b", other]])
    journal.append(daemon.state / "registry.log", ("redo", redo), ("kv/a", new))
    for _ in range(2):
        daemon.start()
        assert consul.get("kv/", keys=None).json == ["a", "b"] and raw(consul, "a") == "new"
        assert consul.get("kv/b").json[0]["ModifyIndex"] == 900
        consul.put("kv/later", b"x", durable=None)
        consul.request("DELETE", "kv/later", durable=None)
        daemon.kill()
    assert "redo" not in journal.values(daemon.state / "registry.log")


def test_no_crash_parts_a_transaction(start_consul):
    """Writers move an amount between keys, several a transaction, until the daemon is killed; the sum is always the same."""
    daemon, consul = start_consul()
    accounts, dice = [f"acc/{i}" for i in range(8)], random.Random(8)
    txn(consul, *[op("set", account, "100") for account in accounts], durable=None)
    made = []

    def move(number):
        own = random.Random(number)
        try:
            while True:
                one, two = own.sample(accounts, 2)
                entries = {entry["Key"]: entry for entry in consul.get("kv/acc/", recurse=None).json}
                amount = own.randrange(1, 10)
                value = {key: int(base64.b64decode(entries[key]["Value"])) for key in (one, two)}
                reply = txn(consul, op("cas", one, str(value[one] - amount), Index=entries[one]["ModifyIndex"]),
                            op("cas", two, str(value[two] + amount), Index=entries[two]["ModifyIndex"]),
                            op("set", f"last/{number}", str(entries[one]["ModifyIndex"])),
                            **({"durable": None} if own.random() < 0.3 else {}))
                assert reply.status in (200, 409), reply
                if reply.status == 200:
                    made.append(number)
        except (OSError, http.client.HTTPException):
            pass  # killed

    for number in range(int(os.environ.get("SLUICE_CRASHES", 8))):
        kill_amid(daemon, lambda client, first=10 * number: move(first + client), dice)
        kept = consul.get("kv/acc/", recurse=None).json
        assert sum(int(base64.b64decode(entry["Value"])) for entry in kept) == 800
    assert made
