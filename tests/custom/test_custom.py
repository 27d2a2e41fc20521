"""Layers of the user's own: by path, by entry point, registered; and every mistake in them."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import Cli, environment, read_document, spawn
from custom_support import MODULE

import bnstats
from bnstats import BnstatsError, Law
from bnstats.backends import numpy_backend
from bnstats.custom import finding, installed, load_typed
from bnstats.layers import LAYERS, USER_LAYERS, BoundLayer, ExactMoments, Input, Known
from bnstats.specs.spec import parse


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a directory with the package mypkg the current one, and forget it all afterwards."""
    (tmp_path / "mypkg").mkdir()
    (tmp_path / "mypkg" / "__init__.py").touch()
    (tmp_path / "mypkg" / "acts.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    monkeypatch.setattr(finding, "_trusted", set())
    before = set(sys.modules), dict(USER_LAYERS)
    yield tmp_path
    for name in set(sys.modules) - before[0]:
        if name.partition(".")[0] in ("mypkg", "plugin", "broken", "quitter", "talker", "ownacts"):
            del sys.modules[name]
    USER_LAYERS.clear()
    USER_LAYERS.update(before[1])


@pytest.fixture
def acts(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have the package on the path, as in a program of the user's; return its module's name."""
    monkeypatch.syspath_prepend(str(home))
    return "mypkg.acts"


def install(home: Path, package: str, **layers: str) -> None:
    """Write what pip would of a package that offers layers."""
    info = home / f"{package}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"{name} = {path}" for name, path in layers.items()]
    (info / "entry_points.txt").write_text("\n".join(["[bnstats.layers]", *lines, ""]))


# --- paths -------------------------------------------------------------------------------------


def test_a_worked_example_in_a_process_of_its_own(home: Path) -> None:
    outcome = spawn("compute", "mypkg.acts:swish:beta=1", "silu", "-n", "1e6", "--json", cwd=home)
    assert (outcome.code, outcome.err) == (0, "")
    ours, silu = read_document(outcome.out)["results"]
    assert ours["layer"] == "mypkg.acts:swish"
    for name in ("mean_y", "std_y", "std_dx"):
        assert ours[name]["exact"]["value"] == pytest.approx(
            silu[name]["exact"]["value"], rel=1e-11
        )
        assert abs(ours[name]["z"]) < 4.5
        assert ours[name]["value"] != silu[name]["value"]  # a stream of its own


def test_the_exact_error_covers_the_finite_differences(acts: str) -> None:
    ours, silu = bnstats.exact(f"{acts}:swish"), bnstats.exact("silu")
    assert ours.std_dx.by == "finite differences"
    assert 0 < abs(ours.std_dx.value - silu.std_dx.value) < ours.std_dx.error < 1e-11
    assert ours.std_y.by == "quadrature"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("swish:beta=2.0", "swish:beta=2"),
        ("swish:beta=1", "swish"),
        ("leaky:negative_slope=.1", "leaky"),
        ("leaky:negative_slope=2e-1", "leaky:negative_slope=0.2"),
        ("either:squared=true,side=right", "either:side=right,squared=true"),
        ("relu_at:at=-1", "relu_at:at=-1"),
        ("Namespace.elu", "Namespace.elu"),
    ],
)
def test_specs_have_a_canonical_form(acts: str, text: str, canonical: str) -> None:
    assert parse(f"{acts}:{text}", load_typed).text == f"{acts}:{canonical}"
    assert parse(f"{acts}:{canonical}").text == f"{acts}:{canonical}"  # once it is loaded


def test_parameters_reach_the_function(acts: str) -> None:
    x = np.linspace(-3, 3, 7)

    def y(text: str) -> np.ndarray:
        return parse(f"{acts}:{text}", load_typed).bound.forward(np, {"x": x})[0]

    np.testing.assert_array_equal(y("leaky:negative_slope=0.3"), np.where(x > 0, x, 0.3 * x))
    np.testing.assert_array_equal(y("either"), np.minimum(x, 0))
    np.testing.assert_array_equal(y("either:side=right,squared=true"), np.maximum(x, 0) ** 2)
    np.testing.assert_array_equal(y("relu_at:at=1"), np.maximum(x - 1, 0))


def test_a_given_slope_is_used(acts: str) -> None:
    ours, tanh = bnstats.exact(f"{acts}:tanh_pair"), bnstats.exact("tanh")
    assert ours.std_dx.value == pytest.approx(tanh.std_dx.value, rel=1e-14)
    assert ours.std_dx.by == "quadrature"
    assert ours.warnings == ()


def test_functions_of_other_libraries_are_layers() -> None:
    ours, sigmoid = bnstats.exact("scipy.special:expit"), bnstats.exact("sigmoid")
    assert ours.std_dx.value == pytest.approx(sigmoid.std_dx.value, rel=1e-12)
    del USER_LAYERS["scipy.special:expit"]


@pytest.mark.parametrize("law", [Law(), Law(0.3, 2.0, 3.0)])
def test_no_exact_slope_is_claimed_where_differences_do_not_resolve_it(acts: str, law: Law) -> None:
    """σ[y] and σ[dx] of sin(kx) are √½ and k√½, but for e^-k²; steps of 1e-4 see k = 300 well."""
    resolved = bnstats.exact(f"{acts}:wave:k=300", law=law)
    true = 300 * math.sqrt(0.5) * law.dy_std
    assert abs(resolved.std_dx.value - true) <= resolved.std_dx.error < 0.01 * true
    wild = bnstats.exact(f"{acts}:wave:k=1e4", law=law)
    assert {"std_dx", "var_dx", "rms_dx", "gain_dx"} <= {*wild.missing}
    assert abs(wild.std_y.value - math.sqrt(0.5)) <= wild.std_y.error
    assert abs(wild.mean_y.value) <= wild.mean_y.error
    result = bnstats.compute(f"{acts}:wave:k=1e4", samples=10_000, law=law)
    assert result.std_dx.z is None
    assert result.warnings[0].endswith(": do not believe dx; return (y, slope)")
    assert not result.std_dx.reliable


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("sampler", ["iid", "sobol"])
def test_finite_differences_agree_with_the_slope(acts: str, dtype: str, sampler: str) -> None:
    options = {"samples": 200_000, "dtype": dtype, "sampler": sampler}
    result = bnstats.compute(f"{acts}:leaky", **options)
    slope = math.sqrt((1 + 0.1**2) / 2)
    assert result.std_dx.exact.value == pytest.approx(slope, rel=1e-12)
    assert abs(result.std_dx.z) < 4.5
    assert result.std_dx.value == pytest.approx(slope, rel=5e-3 if sampler == "iid" else 1e-5)


def test_float32_is_differentiated_in_float64(acts: str) -> None:
    x = np.random.default_rng(1).normal(size=100).astype(np.float32)
    y, backward = parse(f"{acts}:swish", load_typed).bound.forward(numpy_backend, {"x": x})
    slope = backward(np.ones_like(x))
    assert y.dtype == slope.dtype == np.float32
    wide = x.astype(float)
    s = 1 / (1 + np.exp(-wide))
    np.testing.assert_allclose(slope, s * (1 + wide * (1 - s)), rtol=2e-7, atol=1e-8)


def test_the_current_directory_is_searched_by_the_program_only(home: Path, cli: Cli) -> None:
    with pytest.raises(BnstatsError, match=r"no module 'mypkg'"):
        bnstats.exact("mypkg.acts:swish")
    assert str(home) not in sys.path
    assert cli("exact", "sigmoid").code == 0
    assert str(home) not in sys.path, "a known layer needs no path"
    assert cli("exact", "mypkg.acts:swish").code == 0


def test_safe_path_keeps_the_current_directory_out(home: Path) -> None:
    code = "import sys; from bnstats.cli.main import main; sys.exit(main(sys.argv[1:]))"
    for flags, expected in ((["-P"], 2), ([], 0)):
        done = subprocess.run(
            [sys.executable, *flags, "-c", code, "exact", "mypkg.acts:swish"],
            cwd=home,
            env=environment(),
            capture_output=True,
            check=False,
        )
        assert done.returncode == expected


def test_show_tells_of_a_function(home: Path, cli: Cli) -> None:
    shown = cli("show", "mypkg.acts:relu_at:at=2").out
    assert "not smooth at x = 2" in shown
    assert "bnstats compute mypkg.acts:relu_at:at=1" in shown
    assert "at  float, required" in shown
    shown = cli("show", "mypkg.acts:swish").out
    assert "mypkg.acts:swish — Swish with a factor." in shown
    assert "beta  float, default: 1" in shown


# --- what is found out about a function -------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "law", "warning"),
    [
        (
            "leaky",
            Law(),
            "the slope of leaky jumps at x = 0 (detected; declare breakpoints=(0.0,))",
        ),
        ("relu_at:at=2", Law(), "the slope of relu_at jumps at x = 2 (detected"),
        ("relu_at:at=200", Law(), None),
        ("relu_at:at=200", Law(198, 1), "the slope of relu_at jumps at x = 200 (detected"),
        ("swish:beta=50", Law(), None),
        (
            "staircase",
            Law(0, 0.15),
            "staircase jumps at x = -1, x = 0, x = 1 and its slope jumps at x = 0.25 "
            "(detected; declare breakpoints=(-1.0, 0.0, 0.25, 1.0))",
        ),
        ("staircase", Law(), "jumps at x = -9, x = -8, x = -7, x = -6 and 16 more and its slope"),
        ("wrong_slope", Law(), r"is given as "),
        ("logarithm", Law(), "logarithm is not finite at x = -10 (50 % of the mean ± 10 σ)"),
        ("logarithm", Law(100, 1), None),
    ],
)
def test_what_nobody_declared_is_named(acts: str, text: str, law: Law, warning: str | None) -> None:
    warnings = bnstats.exact(f"{acts}:{text}", law=law).warnings
    if warning is None:
        assert warnings == ()
    else:
        assert any(warning in w for w in warnings), warnings


def test_a_detected_kink_splits_the_quadrature(acts: str) -> None:
    at = 0.123456789
    value = bnstats.exact(f"{acts}:relu_at:at={at}").mean_y
    # E[max(X − a, 0)] = φ(a) − a·(1 − Φ(a))
    wanted = math.exp(-at * at / 2) / math.sqrt(2 * math.pi) - at * math.erfc(at / 2**0.5) / 2
    assert value.value == pytest.approx(wanted, abs=1e-15)
    assert value.error < 1e-14


def test_a_wrong_slope_is_warned_of_with_both_values(acts: str) -> None:
    (warning,) = [w for w in bnstats.exact(f"{acts}:wrong_slope").warnings if "given as" in w]
    x, given, found = map(float, re.findall(r"-?\d+\.\d+", warning))
    assert x > 2
    assert given == pytest.approx(math.cos(x) + 0.5, abs=1e-5)
    assert found == pytest.approx(math.cos(x), abs=1e-5)


def test_warnings_reach_the_screen_and_the_document(home: Path, cli: Cli) -> None:
    outcome = cli("compute", "mypkg.acts:leaky", "-n", "1e4", "--json")
    text = "the slope of leaky jumps at x = 0 (detected; declare breakpoints=(0.0,))"
    assert outcome.err == f"warning: {text}\n"
    assert text in read_document(outcome.out)["results"][0]["warnings"]


# --- mistakes ---------------------------------------------------------------------------------

MISTAKES = [
    ("scalar_only", "scalar_only raised TypeError", "np.tanh(x) instead of math.tanh(x)"),
    ("branches", "branches raised ValueError", "np.where(x > 0, a, b)"),
    ("in_place", "in_place writes to its input", "x = x.copy()"),
    ("mean_of", "mean_of returned a scalar as y", "np.full_like(x, 3)"),
    ("half", "half returned y of shape (30,) for x of shape (60,)", "one number for each x"),
    ("three", "three returned 3 values", "return (y, dy/dx)"),
    ("a_list", "a_list returned a list as y, not an array", "return (y, dy/dx)"),
    ("booleans", "booleans returned y as bool where x is float64", "y.astype(x.dtype)"),
    ("misspelt", "misspelt raised AttributeError: module 'numpy' has no attribute 'tnh'", "-v"),
    ("softmax", "softmax is not elementwise", "a builder that returns a BoundLayer"),
    ("noisy", "noisy is not elementwise", "or on chance"),
    ("nowhere", "nowhere is not finite at any x", ""),
    ("late", r"late raised RuntimeError: too many", "-v"),
    ("constant", "constant is an int, not a function", "a function of an array x"),
    ("Namespace", "Namespace is a class, not a function", "a function of an array x"),
    ("untypable", "parameter 'table' has a type no spec can hold", "annotate it"),
    ("no_event", "no_event returned a float", "a builder that returns a BoundLayer"),
    ("swish:gamma=1", "swish has no parameter 'gamma'", "parameters: beta"),
    ("swsh", "'mypkg.acts' has no 'swsh'", "did you mean 'swish'?"),
    ("relu_at", "relu_at needs at", "mypkg.acts:relu_at:at=1"),
]


@pytest.mark.parametrize(("text", "message", "hint"), MISTAKES)
def test_each_mistake_gives_one_line(
    home: Path, cli: Cli, text: str, message: str, hint: str
) -> None:
    outcome = cli("exact", f"mypkg.acts:{text}")
    first, *rest = outcome.err.splitlines()
    assert outcome.code == 2
    assert outcome.out == ""
    assert first.startswith("error: ")
    assert message in first
    assert "Traceback" not in outcome.err
    assert outcome.err.replace("\n", "").isprintable()
    assert any(hint in line for line in (first, *rest))
    assert len(rest) <= 3


def test_a_mistake_shows_the_line_and_with_v_the_traceback(home: Path, cli: Cli) -> None:
    assert "mypkg/acts.py" in cli("exact", "mypkg.acts:misspelt").err
    assert "return np.tnh(x)" in cli("exact", "mypkg.acts:misspelt").err
    told = cli("-v", "exact", "mypkg.acts:misspelt").err
    assert told.startswith("error: mypkg.acts:misspelt raised AttributeError")
    assert "Traceback (most recent call last)" in told


def test_a_mistake_that_shows_in_float32_only(home: Path, cli: Cli) -> None:
    assert cli("compute", "mypkg.acts:doubles", "-n", "1e4").code == 0
    outcome = cli("compute", "mypkg.acts:doubles", "-n", "1e4", "--dtype", "float32", "--json")
    assert outcome.code == 2
    assert "returned y as float64 where x is float32" in outcome.err
    assert "math.sqrt(2)" in read_document(outcome.out)["error"]["hint"]


def test_a_mistake_in_a_thread_is_told_too(home: Path, cli: Cli) -> None:
    outcome = cli("compute", "mypkg.acts:late", "-n", "1e6", "--workers", "2")
    assert outcome.code == 2
    assert "raised RuntimeError" in outcome.err


def test_types_that_only_a_type_checker_imports(home: Path, cli: Cli) -> None:
    """From Python 3.14 on they need no ``from __future__ import annotations``."""
    header = "" if sys.version_info >= (3, 14) else "from __future__ import annotations"
    (home / "plugin.py").write_text(f"""{header}
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from somewhere import Array
def scaled(x: Array, *, by: float = 2.0) -> Array:
    return by * x
""")
    code, out, err = cli("exact", "plugin:scaled:by=3", "--get", "std_y.exact.value")
    assert (code, err) == (0, "")
    assert float(out) == pytest.approx(3)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("nowhere_at_all:f", "no module 'nowhere_at_all'", "as by python -m"),
        ("mypkg.act:f", "no module 'mypkg.act'", "as by python -m"),
        ("mypkg/acts.py:f", "unknown layer 'mypkg/acts.py'", ""),
        ("acts.py:f", "'acts.py:f' names a file", "acts:f"),
        ("eluu:alpha", "no module 'eluu'", "did you mean the layer 'elu'?"),
        ("broken:f", "importing broken raised ModuleNotFoundError: No module named 'xyz'", "-v"),
        ("broken.syntax:f", "importing broken.syntax raised SyntaxError", "-v"),
        ("quitter:f", "importing quitter raised SystemExit: 3", "-v"),
        ("mypkg.acts:swish.__call__.x", "has no 'x'", ""),
        ("mypkg..acts:f", "unknown layer 'mypkg'", ""),
    ],
)
def test_what_cannot_be_imported_is_told(
    home: Path, cli: Cli, name: str, message: str, hint: str
) -> None:
    (home / "broken").mkdir()
    (home / "broken" / "__init__.py").write_text("import xyz\n")
    if "syntax" in name:
        (home / "broken" / "__init__.py").write_text("")
        (home / "broken" / "syntax.py").write_text("def f(x: return x\n")
    (home / "quitter.py").write_text("raise SystemExit(3)\n")
    outcome = cli("compute", name)
    assert outcome.code == 2
    assert message in outcome.err.splitlines()[0]
    assert hint in outcome.err
    assert "Traceback" not in outcome.err


def test_what_a_module_prints_stays_out_of_the_document(home: Path, cli: Cli) -> None:
    (home / "talker.py").write_text("print('hello')\ndef f(x): return x\n")
    outcome = cli("exact", "talker:f", "--json")
    read_document(outcome.out)
    assert outcome.err == "hello\n"


# --- nothing is imported that nobody named ----------------------------------------------------


def hostile(home: Path) -> Path:
    (home / "plugin.py").write_text(
        "import pathlib\npathlib.Path('imported').touch()\ndef f(x): return x\n"
    )
    claims = home / "claims.toml"
    claims.write_text('claim = [{layer = "plugin:f", quantity = "std_dx", value = "1.000"}]\n')
    return claims


def test_a_file_never_imports_code(home: Path, cli: Cli) -> None:
    outcome = cli("verify", hostile(home))
    assert outcome.code == 2
    assert "plugin:f is not loaded" in outcome.err
    assert "bnstats verify --import plugin:f" in outcome.err
    install(home, "nice", nice_act="plugin:f")
    sys.path.insert(0, str(home))
    claims = home / "claims.toml"
    claims.write_text('claim = [{layer = "nice_act", quantity = "std_dx", value = "1"}]\n')
    outcome = cli("verify", claims)
    assert outcome.code == 2
    assert "nice_act is not loaded" in outcome.err
    assert "--import nice_act" in outcome.err
    assert not (home / "imported").exists()
    assert "plugin" not in sys.modules
    assert cli("verify", claims, "--import", "nice_act", "-n", "1e4").code == 0


def test_a_results_document_never_imports_code(home: Path, cli: Cli) -> None:
    hostile(home)
    made = spawn("compute", "plugin:f", "-n", "1e4", "--export", "results.json", cwd=home)
    assert made.code == 0
    (home / "imported").unlink()
    outcome = cli("verify", home / "results.json")
    assert outcome.code == 2
    assert "plugin:f is not loaded" in outcome.err
    assert not (home / "imported").exists()
    assert cli("verify", home / "results.json", "--import", "plugin:f").code == 0


def test_verify_judges_what_was_named(home: Path, cli: Cli) -> None:
    outcome = cli("verify", hostile(home), "--import", "plugin:f", "-n", "1e5")
    assert outcome.code == 0, outcome.err
    assert "1 reproduced" in outcome.out
    assert (home / "imported").exists()


OWN = """
import numpy as np
from os.path import abspath
import bnstats
def steep(x, *, alpha=1.0): return alpha * x
def _hidden(x): return x
@bnstats.register
def doubled(x): return 2 * x
"""


@pytest.fixture
def project(home: Path) -> Path:
    """Return a project of a module, and of a file that its pyproject.toml names."""
    (home / "ownacts.py").write_text(OWN)
    (home / "claims.csv").write_text(
        "layer,quantity,value\nownacts:steep:alpha=3,std_dx,3.0\ndoubled,std_y,2.0\n"
    )
    (home / "below").mkdir()
    (home / ".git").mkdir()
    return home


def of_project(project: Path, imports: str) -> None:
    text = f'[tool.bnstats]\nclaims = ["claims.csv"]\nimport = {imports}\nsamples = 1e4\n'
    (project / "pyproject.toml").write_text(text)


@pytest.mark.slow
def test_a_project_names_the_modules_of_its_layers(project: Path) -> None:
    of_project(project, '["ownacts"]')
    for where in (project, project / "below"):
        outcome = spawn("verify", cwd=where)
        assert outcome.code == 0, outcome.err
        assert outcome.out.splitlines()[-1].endswith("2 layers: 2 reproduced")
    of_project(project, '["ownacts:steep"]')  # which imports the module and so the other one
    assert spawn("verify", cwd=project).code == 0
    of_project(project, "[]")
    outcome = spawn("verify", cwd=project)
    assert (outcome.code, outcome.out) == (2, "")
    assert "ownacts:steep is not loaded, and a file imports no code" in outcome.err
    assert 'or import = ["ownacts:steep"] under [tool.bnstats] in pyproject.toml' in outcome.err
    assert spawn("verify", "--import", "ownacts", cwd=project).code == 0


@pytest.mark.parametrize(
    ("layer", "trusted"),
    [
        ("ownacts:steep", True),
        ("ownacts:_hidden", False),
        ("ownacts:abspath", False),  # it is os.path's
        ("ownacts:np.tanh", False),
        ("ownacts:nothing", False),
        ("mypkg.acts:swish:beta=1", False),
    ],
)
def test_a_file_names_only_what_a_trusted_module_defines(
    cli: Cli, project: Path, layer: str, trusted: bool
) -> None:
    of_project(project, '["ownacts"]')
    (project / "claims.csv").write_text(f"layer,quantity,value\n{layer},std_dx,1.0\n")
    outcome = cli("verify")
    assert outcome.code == (0 if trusted else 2), outcome.err
    assert ("is not loaded" in outcome.err) is not trusted


@pytest.mark.parametrize(
    ("imports", "message"),
    [
        ('"ownacts"', "import is not a list of modules\nhint:  import = ["),
        ('["ownacts:stepp"]', "'ownacts' has no 'stepp'"),
        ('["ownact"]', "no module 'ownact'"),
        ('["mypkg.act"]', "no module 'mypkg.act'"),
    ],
)
def test_an_import_at_fault_is_named(cli: Cli, project: Path, imports: str, message: str) -> None:
    of_project(project, imports)
    outcome = cli("verify")
    assert outcome.code == 2
    assert message in outcome.err


# --- entry points -----------------------------------------------------------------------------


@pytest.fixture
def plugin(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(home))
    install(home, "nice-acts", nice_swish="mypkg.acts:swish", relu="mypkg.acts:leaky")
    return home


def test_an_installed_layer_is_listed_but_not_imported(plugin: Path, cli: Cli) -> None:
    listed = cli("list", "--long").out
    assert "nice-acts (installed)" in listed
    assert re.search(r"nice_swish +mypkg\.acts:swish", listed)
    assert re.search(r"relu +hidden by bnstats' own", listed)
    assert "nice_swish" in cli("list", "--plain").out.splitlines()
    assert not any(name.startswith("mypkg") for name in sys.modules)
    assert [e.name for e in installed() if e.package == "nice-acts"] == ["nice_swish", "relu"]


def test_an_installed_layer_is_known_by_its_name(plugin: Path, cli: Cli) -> None:
    document = read_document(cli("exact", "nice_swish:beta=1.0", "--json").out)
    assert document["results"][0]["layer"] == "nice_swish"
    own = bnstats.exact("silu").std_dx.value
    assert document["results"][0]["std_dx"]["exact"]["value"] == pytest.approx(own, rel=1e-11)
    assert "family     nice-acts" in cli("show", "nice_swish").out
    assert bnstats.exact("relu").warnings == (), "bnstats' own relu is not hidden"


def test_a_misspelt_installed_layer_is_suggested(plugin: Path, cli: Cli) -> None:
    assert "did you mean 'nice_swish'?" in cli("exact", "nice_swsh").err


def test_two_packages_of_one_name_are_told_apart_by_path(plugin: Path, cli: Cli) -> None:
    install(plugin, "other", nice_swish="mypkg.acts:leaky")
    outcome = cli("exact", "nice_swish")
    assert outcome.code == 2
    assert "'nice_swish' is offered by nice-acts and by other" in outcome.err
    assert "mypkg.acts:" in outcome.err


def test_known_layers_look_no_entry_points_up() -> None:
    code = (
        "import sys; from bnstats.cli.main import main; main(['show', 'relu']);"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert "importlib.metadata" not in done.stderr.split()


# --- register ---------------------------------------------------------------------------------


def test_register_is_a_function_and_a_decorator(home: Path) -> None:
    @bnstats.register
    def plain(x):
        return x * x * x

    @bnstats.register(breakpoints=(0.0,), formula="y = |x|", name="modulus", cite="Euclid")
    def named(xp, x):
        return xp.abs(x), xp.sign(x)

    assert plain(2) == 8, "the function is as it was"
    assert bnstats.exact("plain").std_dx.value == pytest.approx(math.sqrt(27), rel=1e-11)
    modulus = bnstats.exact("modulus")
    assert modulus.mean_y.value == pytest.approx(math.sqrt(2 / math.pi), rel=1e-14)
    assert modulus.warnings == (), "its breakpoint is declared"
    assert (modulus.spec.layer.formula, modulus.spec.layer.cite) == ("y = |x|", "Euclid")
    assert bnstats.register(np.arctan, name="arc") is np.arctan
    assert bnstats.exact("arc").mean_y.value == pytest.approx(0, abs=1e-15)


def test_kinks_may_depend_on_the_parameters(home: Path) -> None:
    @bnstats.register(breakpoints=lambda at: (at, -at))
    def dead_zone(x, *, at: float = 1.0):
        return np.sign(x) * np.maximum(np.abs(x) - at, 0)

    assert bnstats.exact("dead_zone:at=0.5").spec.bound.breakpoints == (-0.5, 0.5)
    assert bnstats.exact("dead_zone").warnings == ()


def test_a_name_may_be_registered_again_but_not_bnstats_own(home: Path) -> None:
    bnstats.register(lambda x: x, name="mine")
    bnstats.register(lambda x: 2 * x, name="mine")
    assert bnstats.exact("mine").std_y.value == pytest.approx(2, rel=1e-13)
    for name in ("relu", "swish"):
        with pytest.raises(BnstatsError, match="one of bnstats' own layers"):
            bnstats.register(lambda x: x, name=name)
    with pytest.raises(BnstatsError, match="cannot be a layer's name"):
        bnstats.register(lambda x: x)


def test_a_builder_of_events_is_a_layer(home: Path) -> None:
    @bnstats.register(formula="y = x·(1 + s·u)")
    def jitter(*, scale: float = 1.0) -> BoundLayer:
        """Multiply by uniform noise."""

        def forward(xp, draws):
            factor = 1 + scale * draws["u"]
            return draws["x"] * factor, lambda dy: dy * factor

        inputs = {"x": Input(), "dy": Input(), "u": Input(distribution="uniform")}
        return BoundLayer(inputs, forward, lambda law, expect: ExactMoments())

    result = bnstats.compute("jitter:scale=3", samples=300_000)
    # E[(1 + 3u)²] = 1 + 3 + 3
    assert result.std_dx.value == pytest.approx(math.sqrt(7), rel=0.02)
    assert result.std_dx.exact is None


@pytest.mark.parametrize(
    ("moments", "message", "hint"),
    [
        (lambda law, expect: ExactMoments(vary=Known(1.0)), "no moment 'vary'", "mean var_y?"),
        (
            lambda law, expect: ExactMoments(mode=Known(1.0)),
            "no moment 'mode'",
            "mean_y, var_y, ms_y",
        ),
        (lambda law, expect: ExactMoments(var_y=1.0), "moment var_y is a float", "Known(value)"),
        (lambda law, expect: {"var_y": Known(1.0)}, "moments returned a dict", "ExactMoments("),
    ],
)
@pytest.mark.parametrize("needed", [False, True])
def test_a_builder_of_unknown_moments_is_refused_at_once(
    home: Path, moments: Any, message: str, hint: str, needed: bool
) -> None:
    def misspelt(**values: Any) -> BoundLayer:
        inputs = {"x": Input(), "dy": Input()}
        return BoundLayer(inputs, lambda xp, draws: (draws["x"], lambda dy: dy), moments)

    def plain() -> BoundLayer:
        return misspelt()

    def with_scale(*, scale: float) -> BoundLayer:
        return misspelt(scale=scale)

    with pytest.raises(BnstatsError) as caught:
        bnstats.register(with_scale if needed else plain, name="misspelt")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("misspelt: ")
    assert message in str(caught.value)
    assert hint in str(caught.value.hint)
    assert "misspelt" not in USER_LAYERS


def test_a_layer_of_unknown_moments_is_refused_at_once(home: Path) -> None:
    def bind() -> BoundLayer:
        return BoundLayer(
            {"x": Input(), "dy": Input()},
            lambda xp, draws: (draws["x"], lambda dy: dy),
            lambda law, expect: ExactMoments(m4dx=Known(1.0)),
        )

    with pytest.raises(BnstatsError, match=r"^mine: there is no moment 'm4dx'\n"):
        bnstats.register(replace(LAYERS["relu"], bind=bind), name="mine")


def test_a_mistake_of_a_builder_is_told_as_the_users(home: Path) -> None:
    @bnstats.register
    def faulty() -> BoundLayer:
        inputs = {"x": Input(), "dy": Input()}
        return BoundLayer(inputs, lambda xp, draws: 1 / 0, lambda law, expect: ExactMoments())

    with pytest.raises(BnstatsError, match="faulty raised ZeroDivisionError"):
        bnstats.compute("faulty", samples=100)


def test_a_registered_function_keeps_its_kinks_under_its_path(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(home))
    (home / "plugin.py").write_text(
        "import bnstats, numpy as np\n"
        "@bnstats.register(breakpoints=(0.0,), formula='y = max(0, x)')\n"
        "def my_relu(x): return np.maximum(x, 0)\n"
    )
    reference = bnstats.exact("plugin:my_relu")
    assert reference.warnings == ()
    assert reference.layer == "plugin:my_relu"
    assert reference.spec.layer.formula == "y = max(0, x)"


def test_the_tables_hold_no_layer_of_the_users(home: Path) -> None:
    from bnstats.tables.constants import table_specs

    bnstats.register(lambda x: x, name="mine")
    assert "mine" not in table_specs()
