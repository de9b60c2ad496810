#!/usr/bin/python3
"""report.py ENGINE-BENCH: what the benchmark makes of its figures, in JSON and as text, and tools/bench/plot of these.

Most of it looks at made_up.json, whose figures nobody has measured, so that all is known of them.
"""
import datetime
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

PROGRAM = sys.argv[1]
HERE = os.path.dirname(os.path.realpath(__file__))
PLOT = os.path.join(HERE, "../../tools/bench/plot")
MADE_UP = os.path.join(HERE, "made_up.json")

ROW_FIELDS = {
    "name": str, "sessions": int, "threads": int,
    "ns_per_packet": float, "ns_min": float, "ns_max": float,
    "floor_ns": float, "floor_min": float, "floor_max": float,
    "reference": str, "ratio": float, "bytes_per_session": (float, type(None)), "rounds": int,
}
DOCUMENT_FIELDS = {
    "machine": str, "avx2": bool, "kernel": str, "compiler": str, "date": str, "quick": bool,
    "rows": list, "bars": dict, "bars_left_out": dict,
}

# What follows from made_up.json, by hand: limit, worst figure, whether that is good enough.
MADE_UP_BARS = {
    "established-1m": (1.5, 1.6, False),
    "established-10k": (20, 18, True),  # IPv6's 40 ns do not count: its floor at 1 M is 26 ns
    "one-at-a-time": (5, 4.5, True),
    "growth": (1.2, 1 / 3, True),
    "new-session-growth": (3, 3.2, False),
    "new-session-4m": (12, 320 / 24, False),
    "evict-and-create": (2, 1.5, True),
    "threads-steered": (1.8, 2, True),
    "threads-unsteered": (1, 0.8, False),
    "memory-ipv4": (192, 160, True),
    "memory-ipv6": (384, 400, False),
    "ipv6": (1.6, 2, False),
    "longest-call": (100_000, 120_000, False),
}


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def run(*arguments, status=0, program=PROGRAM, stdin=""):
    done = subprocess.run([program, *arguments], input=stdin, capture_output=True, encoding="utf-8", check=False)
    check(done.returncode == status,
          f"{arguments}: status {done.returncode}, not {status}: {done.stderr}")
    return done


def near(left, right):
    return abs(left - right) <= 1e-9 * max(abs(left), abs(right))


def check_types(record, fields, what):
    check(list(record) == list(fields), f"{what} has other fields: {list(record)}")
    for name, kind in fields.items():
        check(isinstance(record[name], kind), f"{what}: {name} is {record[name]!r}")


def check_document(document):
    check_types(document, DOCUMENT_FIELDS, "the document")
    datetime.datetime.strptime(document["date"], "%Y-%m-%dT%H:%M:%SZ")
    for row in document["rows"]:
        what = row.get("name", row)
        check_types(row, ROW_FIELDS, what)
        check(row["ns_min"] <= row["ns_per_packet"] <= row["ns_max"], f"{what}: not a median")
        check(row["floor_min"] <= row["floor_ns"] <= row["floor_max"], f"{what}: floor no median")
        check(near(row["ratio"], row["ns_per_packet"] / row["floor_ns"]), f"{what}: ratio")
        check(row["reference"] in ("floor", "memcpy"), f"{what}: {row['reference']}")


def test_measured_rows():
    document = json.loads(run("--only", "take-port", "--quick", "--json").stdout)
    check_document(document)
    check([row["name"] for row in document["rows"]] ==
          ["take-port/50", "take-port/95", "take-port/99.9"], "other rows than those of take-port")
    check(all(row["rounds"] >= 5 for row in document["rows"]), "fewer than five rounds")
    check(document["quick"] and document["bars"] == {}, "bars about ports, which there are none of")
    only = json.loads(run("--only", "take-port/9", "--quick", "--json").stdout)
    check(len(only["rows"]) == 2, "not the two rows that begin with take-port/9")


def test_bars():
    document = json.loads(run("--from", MADE_UP, "--json").stdout)
    check_document(document)
    check(set(document["bars"]) == set(MADE_UP_BARS), f"other bars: {list(document['bars'])}")
    for name, (limit, measured, is_met) in MADE_UP_BARS.items():
        bar = document["bars"][name]
        check(bar["limit"] == limit and near(bar["measured"], measured) and bar["met"] is is_met,
              f"{name}: {bar}")
    check(document["bars_left_out"] == {"checksum": "does not apply: the CPU has no AVX2"},
          f"left out: {document['bars_left_out']}")


def with_changes(folder, change):
    """The document that follows from the made-up one after a change."""
    with open(MADE_UP, encoding="utf-8") as file:
        document = json.load(file)
    change(document)
    path = os.path.join(folder, "changed.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    return json.loads(run("--from", path, "--json").stdout)


def test_bars_that_do_not_apply(folder):
    def have_avx2(document):
        document["avx2"] = True

    def slow_down_memory(document):
        for row in document["rows"]:
            row["floor_ns"] *= 2

    def leave_out_largest(document):
        document["rows"] = [row for row in document["rows"] if row["sessions"] != 4_000_000]

    checksum = with_changes(folder, have_avx2)["bars"]["checksum"]
    check(checksum["measured"] == 2 and not checksum["met"], f"checksum: {checksum}")
    left_out = with_changes(folder, slow_down_memory)["bars_left_out"]
    check("above 25 ns" in left_out["established-10k"], f"slow memory: {left_out}")
    left_out = with_changes(folder, leave_out_largest)["bars_left_out"]
    for name in ("growth", "new-session-growth", "new-session-4m"):
        check(left_out[name] == "not measured", f"without 4 M: {left_out}")


def test_text(folder):
    text = run("--from", MADE_UP).stdout
    for line in ("missed      1.60  established IPv4, batch 32, 1 M: ≤ 1.5 × floor"
                 "  (established/tcp/ipv4/mixed/batch)",
                 "met         1.50  evict and create, 10,000 namespaces / 1: ≤ 2 ×"
                 "  (evict-and-create/namespaces-10000)"):
        check(line in text.splitlines(), f"no line {line!r} in:\n{text}")
    check("\x1b" not in text, "colours in a file")
    check(max(map(len, text.splitlines())) <= 120, "lines of more than 120 columns")
    again = os.path.join(folder, "again.json")
    with open(again, "w", encoding="utf-8") as file:
        file.write(run("--from", MADE_UP, "--json").stdout)
    check(run("--from", again).stdout == text, "what was printed reads as something else")


def test_plot():
    svg = run(MADE_UP, program=PLOT).stdout
    check(run(program=PLOT, stdin=run("--from", MADE_UP, "--json").stdout).stdout == svg,
          "what is printed is drawn otherwise")
    root = xml.etree.ElementTree.fromstring(svg)
    check(root.tag == "{http://www.w3.org/2000/svg}svg", f"not SVG: {root.tag}")
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    check(any('Made up for a <test> & "nothing" else, 2 CPUs' in text and
              "2001-02-03T04:05:06Z" in text for text in texts), f"no machine and date: {texts}")
    for label in ("floor: two cache lines: 24 ns", "established, UDP IPv4: 30 ns",
                  "established, TCP IPv4: 36 ns", "established, UDP IPv6: 52 ns",
                  "new session, UDP IPv4: 240 ns", "hash map and a mutex: 512 ns"):
        check(label in texts, f"no label {label!r}: {texts}")


def test_errors(folder):
    def fails(message, status, *arguments):
        done = run(*arguments, status=status)
        check(message in done.stderr and done.stdout == "", f"{arguments}: {done}")

    fails("--unknown", 2, "--unknown")
    fails("no rows are named nonsense…; there are: memory established", 2, "--only", "nonsense")
    fails("no rows are named take-port/none…", 1, "--quick", "--only", "take-port/none")
    fails("excludes", 2, "--quick", "--from", MADE_UP)
    fails("cannot be read", 1, "--from", os.path.join(folder, "none"))
    fails("not what engine-bench --json prints", 1, "--from", __file__)


def test_plot_errors(folder):
    def fails(message, *arguments, stdin=""):
        done = run(*arguments, status=1, program=PLOT, stdin=stdin)
        check(message in done.stderr and done.stderr.count("\n") == 1 and done.stdout == "", f"{arguments}: {done}")

    row = {"name": "new-session/udp/ipv4", "sessions": 1}
    fails("cannot be read", os.path.join(folder, "none"))
    fails("not what engine-bench --json prints", __file__)
    for document in ([], {}, {"rows": 1}, {"rows": [row]}, {"rows": [row | {"ns_min": []}]}):
        fails("not what engine-bench --json prints", stdin=json.dumps(document))
    fails("no row that the plot shows was measured", stdin=json.dumps({"rows": []}))


def main():
    with tempfile.TemporaryDirectory() as folder:
        test_measured_rows()
        test_bars()
        test_bars_that_do_not_apply(folder)
        test_text(folder)
        test_errors(folder)
        test_plot()
        test_plot_errors(folder)
    print("ok: rows, bars, text, plot and errors")


main()
