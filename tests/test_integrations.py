"""Where CI lives: [tool.bnstats], the pytest fixture, the pre-commit hook and the GitHub Action."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_support import ROOT, Cli, environment, read_document

import bnstats
from bnstats.api import compute
from bnstats.verification import gate

pytest_plugins = ("pytester",)
pytestmark = pytest.mark.slow  # git, pip and bash take their time

GOOD = '[[claim]]\nlayer = "gelu"\nquantity = "gain_y"\nvalue = "1.7009"\n'
BAD = GOOD.replace("1.7009", "1.7015")
# pip builds the project with what is installed here, and asks no index for anything. "0" is how
# pip spells --no-build-isolation in its environment.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
OFFLINE |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(*argv: object, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it left behind."""
    kept = {k: v for k, v in environment().items() if not k.startswith(("GIT_", "GITHUB_"))}
    return subprocess.run(
        [str(a) for a in argv],
        cwd=cwd,
        env=kept | OFFLINE | env,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )


# --- [tool.bnstats] ----------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository whose claims its pyproject.toml names; we are in a folder below."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / "deep").mkdir(parents=True)
    (tmp_path / "sub" / "pyproject.toml").write_text("[tool.other]\nclaims = 3\n")  # not ours
    (tmp_path / "constants.toml").write_text(GOOD)
    configure(tmp_path, 'claims = ["constants.toml"]\nsamples = "20k"')
    monkeypatch.chdir(tmp_path / "sub" / "deep")
    return tmp_path


def configure(project: Path, table: str) -> None:
    (project / "pyproject.toml").write_text(f"[project]\nname = 'x'\n[tool.bnstats]\n{table}\n")


def test_verify_alone_checks_what_the_project_names(cli: Cli, project: Path) -> None:
    code, out, err = cli("verify")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "1 constant of 1 layer: 1 reproduced"
    (project / "constants.toml").write_text(BAD)
    code, out, err = cli("verify", "--format", "github")
    assert (code, err) == (1, "")
    assert out.startswith("::error file=../../constants.toml,line=4,")
    assert "; to reproduce: bnstats exact gelu" in out
    # A set has no suffix, and stays a name.
    configure(project, 'claims = ["feng2016-repost", "constants.toml"]\nsamples = 2e4')
    assert cli("verify").out.splitlines()[-1] == (
        "4 constants of 3 layers: 1 wrong quantity, 3 wrong"
    )
    # What the command line names comes first.
    assert cli("verify", "feng2016-repost").out.splitlines()[-1].startswith("3 constants")


@pytest.mark.parametrize(
    ("argv", "samples", "seed", "family_error"),
    [
        ((), 3000, 5, 1e-3),
        (("-n", "4000", "--seed", "6", "--family-error", "0.01"), 4000, 6, 0.01),
        (("--seed", "1", "--family-error", "1e-6"), 3000, 1, 1e-6),  # though these are defaults
    ],
)
def test_options_of_the_project_yield_to_the_command_line(
    cli: Cli,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    samples: int,
    seed: int,
    family_error: float,
) -> None:
    configure(project, 'claims = ["constants.toml"]\nsamples = 3000\nseed = 5\nfamily-error = 1e-3')
    seen: list[Any] = []

    class Spy(gate.FreshDraws):
        def __init__(self, spec: Any, settings: Any, *rest: Any) -> None:
            seen.append((settings.samples, settings.seed, settings.family_error))
            super().__init__(spec, settings, *rest)

    monkeypatch.setattr("bnstats.verification.claims.FreshDraws", Spy)
    cli("verify", *argv)
    assert seen == [(samples, seed, family_error)]


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        (
            'claim = ["a.toml"]',
            "unknown key 'claim'",
            "did you mean 'claims'?  keys: claims, import, samples, seed, family-error, quantity",
        ),
        ('claims = "a.toml"', "claims is not a list of files", 'claims = ["constants.toml"]'),
        ('claims = [""]', "claims is not a list of files", 'claims = ["constants.toml"]'),
        ("samples = [1]", "samples is neither a number nor text", ""),
        ("seed = true", "seed is neither a number nor text", ""),
        ('samples = "many"', "samples: 'many' is not a count such as 1e7, 10M or 2**24", ""),
        ("seed = -1", "seed: '-1' is not a whole number ≥ 0, nor 'random'", ""),
        ("family-error = 2", "family-error: 2.0 is not in the range 0<x<1.", ""),
        ("family-error = nan", "family-error: nan is not in the range 0<x<1", ""),
    ],
)
def test_a_table_at_fault_is_named(
    cli: Cli, project: Path, table: str, message: str, hint: str
) -> None:
    configure(project, table)
    code, _, err = cli("verify")
    assert code == 2
    lines = [f"error: ../../pyproject.toml, [tool.bnstats]: {message}"]
    assert err.splitlines() == lines + ([f"hint:  {hint}"] if hint else [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[tool.bnstats", "../../pyproject.toml cannot be parsed: Expected ']' at the end"),
        (b"\xff", "../../pyproject.toml cannot be parsed: 'utf-8' codec"),
        (b"tool.bnstats = 3", "../../pyproject.toml, [tool.bnstats] is not a table"),
        (b"tool = 3", "nothing to verify: no pyproject.toml names claims"),
        (b"", "nothing to verify: no pyproject.toml names claims"),
        (b"[tool.bnstats]\nseed = 2", "nothing to verify: no pyproject.toml names claims"),
        (b'[tool.bnstats]\nclaims = ["a.toml"]', "no such file: ../../a.toml"),
    ],
)
def test_a_project_at_fault_is_named(cli: Cli, project: Path, content: bytes, message: str) -> None:
    (project / "pyproject.toml").write_bytes(content)
    code, out, err = cli("verify")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {message}")


# --- installed ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clean git repository of the package, as one that a user names."""
    path = tmp_path_factory.mktemp("source") / "bnstats"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(ROOT) / "bnstats", path / "bnstats", ignore=ignore)
    shutil.copytree(Path(ROOT) / ".github", path / ".github")
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(Path(ROOT) / name, path)
    commit(path)
    return path


def commit(path: Path) -> str:
    """Make a git repository of a folder and return the revision."""
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for argv in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "x")):
        done = run("git", *argv, cwd=path)
        assert done.returncode == 0, done.stderr
    return run("git", "rev-parse", "HEAD", cwd=path).stdout.strip()


@pytest.fixture(scope="session")
def installed(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which pip has installed the package, entry points included."""
    site = tmp_path_factory.mktemp("installed") / "site"
    done = run(sys.executable, "-m", "pip", "install", "--target", site, source, cwd=source)
    assert done.returncode == 0, done.stderr
    return site


# --- pytest ------------------------------------------------------------------------------------


@pytest.fixture
def pytest_on(
    pytester: pytest.Pytester, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], pytest.RunResult]:
    """Run a test file in a pytest of its own, which finds the plugin by its entry point."""
    monkeypatch.setenv("PYTHONPATH", str(installed))

    def run_file(text: str) -> pytest.RunResult:
        pytester.makepyfile(text)
        return pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider")

    return run_file


def test_the_fixture_fails_with_the_message_of_the_command_line(
    pytest_on: Callable[[str], pytest.RunResult], cli: Cli
) -> None:
    Path("own").mkdir()
    Path("own/fixtureacts.py").write_text("def steep(x, *, alpha=1.0): return alpha * x\n")
    result = pytest_on(
        """
        import math, pytest, bnstats

        def test_right(bnstats_verify):
            check = bnstats_verify("gelu", "gain_y", "1.7009", samples=20_000)
            assert (check.outcome, check.quantity) == ("ok", "gain_y")
            bnstats_verify("gelu", "gain_y", 1.7015, tolerance=0.001, samples=20_000)

        def test_wrong(bnstats_verify):
            bnstats_verify("gelu", "gain_y", "1.7015", samples=20_000, seed=3)

        def test_undecided(bnstats_verify):
            # Of a layer without an exact value, more digits than so few draws can tell.
            claim = "lp_pool1d:kernel_size=3,norm_type=4", "std_dx", "0.5340"
            bnstats_verify(*claim, samples=20_000, allow_undecided=True)
            bnstats_verify(*claim, samples=20_000)

        def test_code(bnstats_verify):
            for value in (math.sqrt(2), 2**0.5, 1 / math.sqrt(0.5)):
                check = bnstats_verify("relu", "gain_rms_y", value, samples=20_000)
                assert check.verdict.remark.endswith("all 13 digits that are known are right")
            bnstats_verify("max_pool2d:kernel_size=3", "std_dx", 1 / 3, samples=20_000)

        def test_own(bnstats_verify, monkeypatch):
            with pytest.raises(pytest.fail.Exception, match="no module 'fixtureacts'"):
                bnstats_verify("fixtureacts:steep", "std_dx", 3.0)
            monkeypatch.syspath_prepend("own")
            bnstats_verify("fixtureacts:steep:alpha=3", "std_dx", 3.0, samples=20_000)

        def test_object(bnstats_verify):
            bnstats_verify(lambda x: 3 * x, "std_y", "3.0", samples=20_000)

        def test_misspelt(bnstats_verify):
            bnstats_verify("elo:alpha=2", "gain_y", "1.7015")

        def test_misspelt_argument(bnstats_verify):
            bnstats_verify("gelu", "gain_y", "1.7015", sampels=20_000)

        def test_no_number(bnstats_verify):
            with pytest.raises(pytest.fail.Exception, match="value '1,7' is not a number"):
                bnstats_verify("gelu", "gain_y", "1,7")
            with pytest.raises(pytest.fail.Exception, match="family_error 2 is outside"):
                bnstats_verify("gelu", "gain_y", "1.7", family_error=2)
        """,
    )
    result.assert_outcomes(passed=5, failed=4)
    for name, lines in {
        "test_misspelt": ["error: unknown layer 'elo'", "hint:  did you mean 'elu'?"],
        "test_misspelt_argument": [
            "error: bnstats_verify has no argument 'sampels'",
            "hint:  did you mean 'samples'?",
        ],
    }.items():
        (at,) = (i for i, x in enumerate(result.outlines) if re.fullmatch(f"_+ {name} _+", x))
        said = result.outlines[at + 1 : at + 3]  # no traceback between name and message
        assert [line[: len(wanted)] for line, wanted in zip(said, lines, strict=True)] == lines
    Path("a.toml").write_text(BAD)
    said = cli("verify", "a.toml", "-n", "20000", "--seed", "3").out.splitlines()[:-1]
    assert said[0].startswith(
        "FAIL      a.toml:4:9: gelu 1/σ[y]: claimed 1.7015, exact 1.70092624,"
    )
    said[0] = said[0].replace("a.toml:4:9: ", "")  # a call of the fixture is in no file
    at = result.outlines.index(said[0])
    assert result.outlines[at : at + 3] == said
    assert "test_wrong" in result.outlines[at - 1]  # no traceback between name and message
    undecided = [x for x in result.outlines if x.startswith("undecided lp_pool1d:")]
    assert len(undecided) == 1


def test_what_is_installed_registers_the_fixture(installed: Path) -> None:
    (found,) = metadata.distributions(path=[str(installed)])
    plugins = [e.value for e in found.entry_points if e.group == "pytest11"]
    assert plugins == ["bnstats.pytest_plugin"]


def test_a_pytest_that_does_not_use_the_fixture_loads_nothing(
    pytest_on: Callable[[str], pytest.RunResult],
) -> None:
    result = pytest_on(
        """
        import sys

        def test_modules():
            assert "bnstats.pytest_plugin" in sys.modules
            ours = {name for name in sys.modules if name.partition(".")[0] == "bnstats"}
            assert ours == {"bnstats", "bnstats.version", "bnstats.pytest_plugin"}
            assert not {"numpy", "scipy", "click"} & set(sys.modules)
        """,
    )
    result.assert_outcomes(passed=1)


# --- pre-commit --------------------------------------------------------------------------------


def test_the_hook_stops_a_commit_fixes_the_file_and_lets_it_pass(
    source: Path, tmp_path: Path
) -> None:
    user = tmp_path / "user"
    user.mkdir()
    (user / "numbers.toml").write_text(BAD)  # named by pyproject.toml, not by its name
    configure(user, 'claims = ["numbers.toml"]')
    (user / "claims.toml").write_text("not = 'claims'")
    revision = run("git", "rev-parse", "HEAD", cwd=source).stdout.strip()
    config = {"repo": str(source), "rev": revision, "hooks": [{"id": "bnstats-verify"}]}

    def hook(*args: str, changed: str = "--all-files") -> subprocess.CompletedProcess[str]:
        config["hooks"] = [{"id": "bnstats-verify", "args": ["-n", "20000", *args]}]
        text = yaml.safe_dump({"repos": [config]})
        (user / ".pre-commit-config.yaml").write_text(text)
        run("git", "add", "-A", cwd=user)
        # Its environment borrows numpy and its kin from ours instead of the network.
        site = sysconfig.get_path("purelib")
        home = str(tmp_path / "home")
        argv = (sys.executable, "-m", "pre_commit", "run", *changed.split())
        env = {"PRE_COMMIT_HOME": home, "PYTHONPATH": site, "XDG_CACHE_HOME": home}
        return run(*argv, cwd=user, **env)

    commit(user)
    done = hook()
    assert done.returncode == 1, done.stderr
    assert "- hook id: bnstats-verify\n- exit code: 1\n" in done.stdout
    assert "FAIL      numbers.toml:4:9: gelu 1/σ[y]: claimed 1.7015, exact 1.70092" in done.stdout
    assert list(tmp_path.glob("home/repo*/*/lib/*/site-packages/bnstats/version.py"))
    done = hook("--fix")
    assert done.returncode == 1
    assert "- files were modified by this hook" in done.stdout
    assert "fixed     numbers.toml:4:9: gelu 1/σ[y]: 1.7015 -> 1.7009" in done.stdout
    assert (user / "numbers.toml").read_text() == GOOD
    (user / "other.csv").write_text("layer,quantity,value\nrelu,std_dx,0.8\n")
    (user / "acts.py").write_text("")  # a layer may stand in it
    (user / "notes.md").write_text("")
    for args, changed, code, last in [
        ((), "--all-files", 0, "Passed"),
        ((), "--files pyproject.toml", 0, "Passed"),
        ((), "--files acts.py", 0, "Passed"),
        ((), "--files notes.md", 0, "Skipped"),
        (("numbers.toml", "other.csv"), "--files other.csv", 1, "1 reproduced, 1 wrong"),
    ]:
        done = hook(*args, changed=changed)
        said = done.stdout.strip().splitlines()[-1]
        assert (done.returncode, said[-len(last) :]) == (code, last), done.stdout


# --- GitHub ------------------------------------------------------------------------------------


VERIFY = 1  # the step that another one installs bnstats for


class Action:
    """Runs the steps of our action as GitHub's runner does, in a repository of its own."""

    def __init__(self, source: Path, folder: Path) -> None:
        self.path = source / ".github" / "actions" / "verify"
        self.definition = yaml.safe_load((self.path / "action.yml").read_text("utf-8"))
        self.workspace, self.site = folder / "workspace", folder / "site"
        self.summary = folder / "summary.md"
        self.env: dict[str, str] = {}
        self.workspace.mkdir()
        (self.workspace / "constants.toml").write_text(BAD)
        (self.workspace / "pyproject.toml").write_text(
            '[tool.bnstats]\nclaims = ["constants.toml"]\nsamples = "2e4"\n'
        )

    def __call__(self, first: int = 0, **inputs: str) -> list[subprocess.CompletedProcess[str]]:
        """Return what each step left behind, from the given one to the first that failed."""
        declared = self.definition["inputs"]
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        assert given.keys() <= declared.keys()
        values = {name: given.get(name, entry["default"]) for name, entry in declared.items()}
        assert self.definition["runs"]["using"] == "composite"
        done: list[subprocess.CompletedProcess[str]] = []
        for step in self.definition["runs"]["steps"][first:]:
            assert step["shell"] == "bash"  # a composite step must name its shell
            assert "${{" not in step["run"], "an input in a script is a hole for code"
            env = {k: substituted(v, values) for k, v in step.get("env", {}).items()}
            script = self.workspace.parent / "step.sh"
            script.write_text(step["run"], "utf-8")
            done.append(
                run(
                    *("bash", "--noprofile", "--norc", "-eo", "pipefail", script),
                    cwd=self.workspace,
                    PATH=os.pathsep.join(
                        [
                            str(self.site / "bin"),
                            str(Path(sys.executable).parent),
                            os.environ["PATH"],
                        ]
                    ),
                    PYTHONPATH=str(self.site),
                    PIP_TARGET=str(self.site),
                    GITHUB_ACTION_PATH=str(self.path),
                    GITHUB_WORKSPACE=str(self.workspace),
                    GITHUB_STEP_SUMMARY=str(self.summary),
                    **self.env,
                    **env,
                )
            )
            if done[-1].returncode:
                break
        return done


def substituted(text: str, inputs: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda m: inputs[m[1]], text)


@pytest.fixture
def action(source: Path, tmp_path: Path) -> Action:
    return Action(source, tmp_path)


def test_the_action_annotates_and_fails(action: Action) -> None:
    install, verify = action()
    assert install.returncode == 0, install.stderr
    assert (action.site / "bnstats" / "version.py").exists()
    assert (verify.returncode, verify.stderr) == (1, "")
    first, last = verify.stdout.splitlines()
    assert first.startswith(
        "::error file=constants.toml,line=4,col=9,title=gelu gain_y%3A wrong::gelu"
    )
    assert first.endswith("bnstats exact gelu --quantity gain_y")
    assert last == "1 constant of 1 layer: 1 wrong"
    assert "| wrong | `gelu` | 1/σ[y]" in action.summary.read_text("utf-8")
    (action.workspace / "constants.toml").write_text(GOOD)
    (verify,) = action(VERIFY)
    assert verify.returncode == 0


def test_the_action_runs_no_code_of_the_repository_that_it_checks(action: Action) -> None:
    # Names that pip, python and bnstats itself import; each would end its step with 0.
    for name in ("pip", "bnstats", "click", "numpy", "statistics", "tomllib", "typing"):
        planted = f"open('{action.workspace}/ran', 'a').write('{name} ')\nraise SystemExit(0)\n"
        (action.workspace / f"{name}.py").write_text(planted)
    install, verify = action()
    assert not (action.workspace / "ran").exists()
    assert (install.returncode, verify.returncode) == (0, 1), install.stderr
    assert verify.stdout.startswith("::error file=constants.toml,line=4,")


def test_the_action_may_be_told_to_read_no_project(action: Action) -> None:
    project = action.workspace / "pyproject.toml"
    project.write_text(project.read_text() + 'import = ["planted"]\n')
    (action.workspace / "planted.py").write_text("open('ran', 'w')\nraise SystemExit(0)\n")
    _, verify = action(isolated="true", what="constants.toml", samples="20000")
    assert verify.returncode == 1
    assert not (action.workspace / "ran").exists()
    (verify,) = action(VERIFY)  # the module is the project's own, and is run; it ends nothing
    assert verify.returncode == 2
    assert (action.workspace / "ran").exists()


def test_the_actions_inputs_reach_the_command(action: Action) -> None:
    (action.workspace / "b.toml").write_text(BAD.replace("gelu", "sparsemax"))
    # More than one line, and nothing that a shell would run.
    what = "constants.toml\nb.toml $(touch,hacked)\n"
    _, verify = action(what=what, samples="3000", family_error="0.01")
    assert verify.returncode == 2
    assert "$(touch,hacked)" in verify.stderr
    assert not (action.workspace / "hacked").exists()
    (verify,) = action(VERIFY, what="constants.toml\nb.toml\n", samples="3000")
    assert verify.returncode == 1
    assert verify.stdout.splitlines()[-1] == "2 constants of 2 layers: 2 wrong"
    # Without an exact value two streams judge; the second, four times as long, is the witness.
    assert "bnstats compute sparsemax -n 1.2e4 --seed 2" in verify.stdout
    (verify,) = action(VERIFY, family_error="7")
    assert verify.returncode == 2
    assert "--family-error" in verify.stderr


def test_the_action_installs_the_release_it_is_told(action: Action, source: Path) -> None:
    wheels = action.workspace.parent / "wheels"
    done = run(sys.executable, "-m", "pip", "wheel", "-w", wheels, source, cwd=source)
    assert done.returncode == 0, done.stderr
    action.env["PIP_FIND_LINKS"] = str(wheels)
    action.path = Path("/nowhere")  # the release comes from the index, not from beside the action
    (failed,) = action(version="99.0")
    assert failed.returncode != 0
    assert "bnstats==99.0" in failed.stderr
    install, verify = action(version=bnstats.__version__)
    assert (install.returncode, verify.returncode) == (0, 1), install.stderr


def test_what_reproduces_a_failure_reproduces_it(cli: Cli, project: Path) -> None:
    (project / "constants.toml").write_text(BAD)
    (check,) = read_document(cli("verify", "--json").out)["results"][0]["checks"]
    words = check["command"].split()
    assert words == ["bnstats", "exact", "gelu", "--quantity", "gain_y"]
    (project / "constants.toml").write_text(BAD.replace("gelu", "sparsemax"))  # has no exact σ
    (check,) = read_document(cli("verify", "--json").out)["results"][0]["checks"]
    words = check["command"].split()
    assert words[:3] == ["bnstats", "compute", "sparsemax"]
    again = compute("sparsemax", samples=int(float(words[4])), seed=int(words[6]))
    assert again.gain_y.value == check["value"]


# --- the project's own workflows ------------------------------------------------------------------


def test_the_tests_run_on_every_python_that_the_package_names() -> None:
    folder = Path(ROOT, ".github", "workflows")
    flows = {path.stem: yaml.safe_load(path.read_text("utf-8")) for path in folder.glob("*.yml")}
    matrix = flows["tests"]["jobs"]["tests"]["strategy"]["matrix"]
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text("utf-8"))["project"]
    prefix = "Programming Language :: Python :: 3."
    named = [c.removeprefix(prefix[:-2]) for c in project["classifiers"] if c.startswith(prefix)]
    assert matrix["python"] == named
    for name, job in (("tests", "all"), ("release", "build")):
        assert {"run": ".ci/run"} in flows[name]["jobs"][job]["steps"]
        assert flows[name]["permissions"] == {"contents": "read"}
