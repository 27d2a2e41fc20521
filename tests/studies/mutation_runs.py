"""Runs of tests in forked children: what each test runs, and whether a mutant fails one.

A child inherits the slow imports (torch, jax, mpmath, pytest) and imports bnstats itself, the
mutated module from memory, so that nothing on disk changes and no two mutants meet.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pytest
from coverage import Coverage
from mutants import Mutant, definition, file_of, statements

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PACKAGE = ROOT / "bnstats"
_MUTATED = "layers/*.py statistics/*.py verification/*.py claims/verdict.py"
SOURCES = sorted(path for pattern in _MUTATED.split() for path in PACKAGE.glob(pattern))
_PATTERNS = (
    "layers/test_* statistics/test_* claims/test_* verification/test_* specs/test_spec"
    " specs/test_libraries sampling/test_run sampling/test_arguments sampling/test_stopping"
    " tables/test_published report/test_verify_formats cli/test_cli_show_list"
    " cli/test_cli_compute runs/test_diagnostics networks/test_shapes networks/test_sweep"
    " networks/test_critical custom/test_found_breakpoints custom/test_poles test_known"
)
TEST_FILES = sorted(p for pattern in _PATTERNS.split() for p in TESTS.glob(f"{pattern}.py"))
_SUPPORT = sorted([TESTS / "conftest.py", *(TESTS / "support").glob("*.py")])
_SLOW = "numpy scipy.special scipy.integrate hypothesis mpmath torch jax jax.numpy click rich"
_MEMORY = 6 * 2**30  # a mutant may ask for far too much
# What a first attempt is limited to: seconds of tests, and files, which cost more to collect.
_FIRST, _FIRST_FILES = 2.0, 3
_BEGUN = "> "  # a test that a child has begun
_CLOCK = {-signal.SIGALRM, -signal.SIGPROF}


def preload() -> None:
    """Import what takes long and holds nothing of bnstats."""
    warnings.filterwarnings("ignore", message=".*fork")
    # A shell's background job ignores SIGINT, and so would the programs whose tests send it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ |= {"OMP_NUM_THREADS": "1", "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # no test here needs one
    sys.path[:0] = [str(ROOT), str(TESTS / "support")]
    for name in _SLOW.split() + [path.stem for path in (TESTS / "support").glob("oracles*.py")]:
        importlib.import_module(name)
    assert not any(name.partition(".")[0] == "bnstats" for name in sys.modules)


def digest(paths: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in sorted(paths):
        found.update(file_of(path).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def tests_digest() -> str:
    return digest([*TEST_FILES, *_SUPPORT])


def in_child(work: Callable[[int], int]) -> tuple[int, str]:
    """Return the exit status of a forked child, negative for a signal, and what it wrote.

    ``work`` gets a descriptor to write to and returns the exit code.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8") as file:  # a pipe would fill up
        child = os.fork()
        if not child:
            code = 70
            try:
                os.setsid()
                resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
                for stream in (1, 2):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
                os.chdir(ROOT)
                code = work(file.fileno())
            except BaseException:
                os.write(file.fileno(), traceback.format_exc().encode())
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # workers that it may have left
        file.seek(0)
        return os.waitstatus_to_exitcode(status), file.read()


def run_pytest(files: Iterable[str], plugin: object) -> int:
    quiet = ["-q", "-m", "", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    return int(pytest.main([*quiet, *files], plugins=[plugin]))


# --- what each test runs ------------------------------------------------------------------------


@dataclass
class Known:
    """The tests that pass without a mutation: their seconds, and who runs which line.

    ``noticed`` counts how many mutants of a module each test was the one to notice.
    """

    seconds: dict[str, float]
    runs: dict[str, dict[int, set[str]]]  # of module and line; "" stands for collection
    failed: list[str]
    noticed: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    def running(self, file: str, lines: Iterable[int]) -> set[str]:
        """Return the tests that run any of these lines of a module."""
        return set().union(*(self.runs[file][line] for line in lines))


class _Recorder:
    """Notes which test runs which line that may be mutated, and how long each takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.failed: set[str] = set()
        names = [str(path) for path in SOURCES]
        self.lines = Coverage(data_file=None, config_file=False, include=names)

    def runs(self) -> dict[str, dict[int, list[str]]]:
        data = self.lines.get_data()
        return {
            file_of(path): data.contexts_by_lineno(str(path))
            for path in SOURCES
            if str(path) in data.measured_files()
        }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.lines.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.lines.switch_context("")

    def pytest_runtest_logreport(self, report):
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.failed.add(report.nodeid)


def known_tests(folder: Path) -> Known:
    """Run every test once, its lines traced, or read what a run of the same files found."""
    known = Known({}, defaultdict(lambda: defaultdict(set)), [])
    shared = [*SOURCES, *_SUPPORT]
    for path in TEST_FILES:
        kept = folder / f"{path.stem}-{digest([path, *shared])}.json"
        if not kept.exists():
            begin = time.perf_counter()
            status, written = in_child(lambda _, path=path, kept=kept: _record(path, kept))
            print(f"{path.name}: {time.perf_counter() - begin:.0f} s", flush=True)
            if not kept.exists():
                raise SystemExit(f"{path.name} did not run: status {status}\n{written}")
        found = json.loads(kept.read_text(encoding="utf-8"))
        known.seconds |= found["seconds"]
        known.failed += found["failed"]
        for module, lines in found["runs"].items():
            for line, tests in lines.items():
                known.runs[module][int(line)].update(found["names"][t] for t in tests)
    for test in known.failed:
        known.seconds.pop(test)
    return known


def _record(path: Path, kept: Path) -> int:
    recorder = _Recorder()
    with recorder.lines.collect():
        code = run_pytest([str(path)], recorder)
    if code not in (0, 1):  # 1: some test failed, and is left out
        return code
    names = sorted({"", *recorder.seconds})
    index = {name: i for i, name in enumerate(names)}
    runs = {
        name: {line: [index[t] for t in tests] for line, tests in lines.items()}
        for name, lines in recorder.runs().items()
    }
    found = {"names": names, "seconds": recorder.seconds, "runs": runs}
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(found | {"failed": sorted(recorder.failed)}), encoding="utf-8")
    return code


# --- mutants --------------------------------------------------------------------------------------


class _FromMemory(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Imports one module from a mutant's source, as if it stood in its file."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant
        parts = mutant.path.relative_to(ROOT).with_suffix("").parts
        self.name = ".".join(parts).removesuffix(".__init__")

    def find_spec(self, fullname, path, target=None):
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.mutant.path, loader=self)

    def get_filename(self, fullname):
        return str(self.mutant.path)

    def get_data(self, path):
        return self.mutant.source.encode()


class Judge:
    """Runs chosen tests in order and tells the first that fails; a clock stops each.

    Tests may be slower than they are known to be, as the first of a child finds no cache filled:
    after three times ``most`` seconds no other one is begun.
    """

    def __init__(self, tests: list[str], seconds: dict[str, float], most: float, out: int) -> None:
        self.rank = {test: i for i, test in enumerate(tests)}
        self.seconds = seconds
        self.most = most
        self.out = out
        self.failed = False
        self.begin: float | None = None

    def pytest_collection_modifyitems(self, items):
        items[:] = sorted(
            (i for i in items if i.nodeid in self.rank), key=lambda i: self.rank[i.nodeid]
        )

    def pytest_runtest_logstart(self, nodeid):
        # unhandled, the signal ends the process, whatever holds the interpreter; a busy machine
        # slows a test, but gives it no more of a processor
        os.write(self.out, f"{_BEGUN}{nodeid}\n".encode())
        self.begin = self.begin or time.process_time()
        signal.setitimer(signal.ITIMER_PROF, 12 + 10 * self.seconds[nodeid])

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed = True
            os.write(self.out, report.nodeid.encode() + b"\n")

    def pytest_runtest_logfinish(self):
        if not self.failed and time.process_time() - self.begin > 3 * self.most:
            os._exit(0)

    def pytest_collectreport(self, report):
        if report.failed:
            os.write(self.out, f"collection of {report.nodeid}\n".encode())


def first_tests(mutant: Mutant, known: Known) -> tuple[bool, set[str]]:
    """Return whether the changed statement waits for a test, and those that run it.

    Other statements run on import or while tests are collected.
    """
    holding = [s for s in _statements(mutant.path) if mutant.line in s[0]]
    own, at_import = min(holding, key=lambda s: len(s[0]))
    tests = known.running(mutant.file, own)
    return not at_import and "" not in tests, tests


@cache
def _statements(path: Path) -> list[tuple[range, bool]]:
    return list(statements(path.read_text(encoding="utf-8")))


def chosen(mutant: Mutant, known: Known) -> list[str]:
    """Return the tests that may notice a mutant, those that run its statement first.

    Of a statement that runs on import or while tests are collected, nobody knows whom it reaches:
    then come those that run the same function, the same file, and no layer at all. Those come
    first that noticed the most mutants of the module for their time, in rounds: one case of each
    test, then two more, then four, as cases of one test see alike.
    """
    runs = known.runs[mutant.file]
    waits, direct = first_tests(mutant, known)
    tiers = [direct]
    if not waits:
        whole = definition(mutant.path.read_text(encoding="utf-8"), mutant.line)
        tiers += [known.running(mutant.file, lines) for lines in (whole, list(runs))]
        families = {module for module in known.runs if "/_" not in module}
        busy = set().union(*(t for f in families for t in known.runs[f].values()))
        tiers.append(set(known.seconds) - busy)
    rank: dict[str, tuple[int, float]] = {}
    for tier, tests in enumerate(tiers):
        for test in tests & set(known.seconds):
            promise = known.noticed[mutant.file][test] + 0.05
            rank.setdefault(test, (tier, (known.seconds[test] + 0.02) / promise))
    order, cases = {}, Counter[tuple[int, str]]()
    for test in sorted(rank, key=lambda test: (rank[test], test)):
        case = (rank[test][0], test.partition("[")[0])
        cases[case] += 1
        order[test] = (case[0], cases[case].bit_length())
    return sorted(order, key=order.__getitem__)


Attempt = Callable[[Mutant, "Judge"], int]


def imported(mutant: Mutant, judge: Judge) -> int:
    """Run tests where nothing of bnstats is imported yet, the mutant in the place of its module."""
    sys.meta_path.insert(0, _FromMemory(mutant))
    return run_pytest(["-x", *dict.fromkeys(map(_file_of_test, judge.rank))], judge)


def _file_of_test(test: str) -> str:
    return test.partition("::")[0]


def judge(
    mutant: Mutant, known: Known, most: float, attempt: Attempt = imported
) -> dict[str, object]:
    """Return what became of a mutant: killed, timeout or survived, by which test.

    ``most`` bounds the seconds of tests that it is given: survivors are what costs. ``attempt``
    runs tests in a child and returns its exit status.
    """
    tests = chosen(mutant, known)
    first = set(list(dict.fromkeys(map(_file_of_test, tests)))[:_FIRST_FILES])
    parts: list[list[str]] = [[], []]
    total, begin = 0.0, time.perf_counter()
    for test in tests:
        total += known.seconds[test] + 0.005
        if total > most and any(parts):
            break
        parts[total > _FIRST or _file_of_test(test) not in first].append(test)
    outcome, by = "survived", ""
    for part in filter(None, parts):

        def work(out: int, part: list[str] = part) -> int:
            signal.setitimer(signal.ITIMER_REAL, 600)  # one that waits for ever
            return attempt(mutant, Judge(part, known.seconds, most, out))

        status, written = in_child(work)
        if status not in (0, 5):  # 5: the mutant leaves none of these tests
            lines = written.splitlines()
            begun = [line.removeprefix(_BEGUN) for line in lines if line.startswith(_BEGUN)]
            if status in _CLOCK and begun and _is_slow(begun[-1], mutant, known, most, attempt):
                del known.seconds[begun[-1]]
                return judge(mutant, known, most, attempt)
            outcome = "timeout" if status in _CLOCK else "killed"
            said = [line for line in lines if not line.startswith(_BEGUN)]
            by = (said or begun[-1:] or [f"status {status}"])[0]
            break
    count = len(parts[0]) + len(parts[1])
    spent = round(time.perf_counter() - begin, 1)
    return {"outcome": outcome, "by": by, "tests": count, "of": len(tests), "seconds": spent}


def _is_slow(test: str, mutant: Mutant, known: Known, most: float, attempt: Attempt) -> bool:
    """Whether a test meets its clock without a mutation too: alone, it finds no cache filled."""
    same = replace(mutant, source=mutant.path.read_text(encoding="utf-8"))
    status, _ = in_child(lambda out: attempt(same, Judge([test], known.seconds, most, out)))
    return status in _CLOCK
