"""Optional backends that are missing, broken or elsewhere, and what the command line says."""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from accelerator_support import each, namespace
from cli_support import ROOT, Cli, read_document

from bnstats import backends
from bnstats.api import compute
from bnstats.backends import ACCELERATORS, BACKENDS, Device, chain, chosen, load, missing
from bnstats.errors import BnstatsError, HostError
from bnstats.specs.spec import parse


def without(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    """Make packages look as if they were not installed, and all others as if they were."""
    found = dict.fromkeys(packages)
    monkeypatch.setattr(backends, "find_spec", lambda name: found.get(name, SimpleNamespace()))


@pytest.mark.parametrize(
    ("name", "lacking", "told"),
    [
        ("torch", ["torch"], "torch, which is"),
        ("torch", ["array_api_compat"], "array-api-compat, which is"),
        ("torch", ["torch", "array_api_compat"], "torch and array-api-compat, which are"),
        ("jax", ["jax"], "jax, which is"),
    ],
)
def test_what_a_backend_lacks_is_named(cli: Cli, monkeypatch, name, lacking, told):
    without(monkeypatch, *lacking)
    assert missing(name)
    assert [n for n in BACKENDS if n != name and missing(n)] == []
    for command in (["compute", "relu", "-n", "100"], ["verify", "alf"]):
        code, out, err = cli(*command, "--backend", name)
        assert (code, out) == (4, "")
        assert f"error: backend '{name}' needs {told} not installed\n" in err
        assert err.endswith(f"hint:  pip install 'bnstats[{name}]'\n")


def test_the_pip_command_names_an_extra_that_there_is():
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(ACCELERATORS) <= project["optional-dependencies"].keys()


@each
def test_a_backend_whose_library_does_not_import(cli: Cli, monkeypatch, name):
    without(monkeypatch)
    monkeypatch.setitem(sys.modules, f"bnstats.backends.{name}_backend", None)
    code, out, err = cli("compute", "relu", "-n", "100", "--backend", name)
    assert (code, out) == (4, "")
    assert f"backend '{name}': importing {name} raised ModuleNotFoundError: " in err
    assert f"python -c 'import {name}'" in err
    listed = cli("list", "backends")
    assert listed.code == 0
    (row,) = [r for r in listed.out.splitlines() if r.split()[0] == name]
    assert "raised ModuleNotFoundError" in row


def test_any_failure_of_an_import_is_the_hosts(monkeypatch):
    def broken(name: str) -> None:
        raise OSError("libcudart.so.13: cannot open\x1b[31m shared object\nand much more")

    without(monkeypatch)
    monkeypatch.setattr(backends, "import_module", broken)
    with pytest.raises(HostError) as raised:
        load("torch")
    assert raised.value.message == (
        "backend 'torch': importing torch raised OSError: "
        "libcudart.so.13: cannot open\\x1b[31m shared object"
    )


@pytest.mark.parametrize(
    ("wrong", "hint"), [("pytorch", "torch"), ("Jax", "jax"), ("nunpy", "numpy"), ("\x1b[2J", None)]
)
def test_a_backend_that_there_is_not(cli: Cli, wrong, hint):
    code, out, err = cli("compute", "relu", "-n", "100", "--backend", wrong)
    assert (code, out) == (2, "")
    assert "is not one of numpy, torch, jax" in err
    assert (f"did you mean '{hint}'?" in err) == (hint is not None)
    assert "\x1b" not in err


# --- devices ---------------------------------------------------------------------------------


def backend_with(*names: str) -> Any:
    return SimpleNamespace(devices=lambda: [Device(n, n.upper(), None, None) for n in names])


FOUND = backend_with("cuda:0", "cuda:1", "cpu:0")


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (None, ["cuda:0"]),
        ("cuda", ["cuda:0"]),
        ("cuda:0", ["cuda:0"]),
        ("cuda:1", ["cuda:1"]),
        ("cuda:all", ["cuda:0", "cuda:1"]),
        ("cpu", ["cpu:0"]),
        ("cpu:all", ["cpu:0"]),
    ],
)
def test_what_a_device_means(wanted, expected):
    assert [d.name for d in chosen("torch", FOUND, wanted)] == expected


@pytest.mark.parametrize("wanted", ["cuda:2", "cuda:", "cud", "rocm", "rocm:all", "", "cpu:x", ":"])
def test_a_device_that_is_not_there(wanted):
    with pytest.raises(HostError) as raised:
        chosen("torch", FOUND, wanted)
    assert raised.value.message == f"torch finds no device '{wanted}' here"
    assert raised.value.hint.startswith("it finds cuda:0, cuda:1, cpu:0; a kind such as cuda")


@each
def test_a_device_that_the_backend_does_not_find(cli: Cli, name):
    there = [d.name for d in namespace(name).devices()]
    code, out, err = cli("compute", "relu", "-n", "9", "--backend", name, "--device", "quantum:7")
    assert (code, out) == (4, "")
    assert f"{name} finds no device 'quantum:7' here" in err
    assert f"it finds {', '.join(there)};" in err


@each
def test_the_device_that_computed_is_told(name):
    first = namespace(name).devices()[0]
    result = compute("relu", samples=100, backend=name)
    assert (result.backend, result.device) == (name, first.name)
    assert compute("relu", samples=100, backend=name, device="cpu").device == "cpu:0"


@each
def test_devices_are_looked_for_once(monkeypatch, name):
    xp, asked = namespace(name), []
    devices = xp.devices
    monkeypatch.setattr(xp, "devices", lambda: asked.append(1) or devices())
    compute("relu", samples=100, backend=name)
    assert len(asked) == 1


def test_cuda_devices_are_numbered_and_come_first(monkeypatch):
    torch_backend = namespace("torch")
    import torch

    free = [11, 22]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda i: SimpleNamespace(name=f"GPU {i}")
    )
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda i: (free[i], 99))
    assert torch_backend.devices() == [
        Device("cuda:0", "GPU 0", 11, torch.device("cuda", 0)),
        Device("cuda:1", "GPU 1", 22, torch.device("cuda", 1)),
        Device("cpu:0", "cpu", None, torch.device("cpu")),
    ]


@pytest.mark.parametrize(
    ("platform", "kind"), [("cuda 12090", "cuda"), ("rocm 60300", "rocm"), (None, "tpu")]
)
def test_jaxs_devices_are_named_as_torchs(monkeypatch, platform, kind):
    jax_backend = namespace("jax")
    import jax

    def device(about: str) -> Any:
        return SimpleNamespace(
            platform="gpu" if platform else "tpu",
            client=SimpleNamespace(platform_version=platform),
            device_kind=about,
            memory_stats=lambda: {"bytes_limit": 7},
        )

    (cpu,) = jax.local_devices(backend="cpu")
    both = [device("A"), device("B")]
    monkeypatch.setattr(jax, "local_devices", lambda backend=None: [cpu] if backend else [*both])
    assert jax_backend.devices() == [
        Device(f"{kind}:0", "A", 7, both[0]),
        Device(f"{kind}:1", "B", 7, both[1]),
        Device("cpu:0", "cpu", None, cpu),
    ]


# --- what goes together ----------------------------------------------------------------------


@each
def test_sobol_points_are_numpys(cli: Cli, name):
    code, out, err = cli("compute", "relu", "--backend", name, "--sampler", "sobol")
    assert (code, out) == (2, "")
    assert f"sampler sobol runs on numpy, not on {name}" in err


def test_numpy_has_no_device_but_the_processor(cli: Cli):
    code, out, err = cli("compute", "relu", "-n", "100", "--device", "cuda:1")
    assert (code, out) == (2, "")
    assert "backend numpy computes on the cpu, not on 'cuda:1'" in err
    assert "--backend torch --device cuda:1" in err
    assert cli("compute", "relu", "-n", "100", "--device", "cpu").code == 0


@each
@pytest.mark.parametrize("late", [False, True])
def test_a_layer_that_the_backend_cannot_run(monkeypatch, name, late):
    """Whether it fails where it is traced, or where it runs: one clear line."""
    spec, xp = parse("tanh"), namespace(name)
    by_numpy = spec.bound.forward

    def forward(of: Any, draws: Any) -> Any:
        if of is xp:
            raise NotImplementedError("no such kernel\x07\nstack of the library")
        return by_numpy(of, draws)

    def host(sums: Any) -> Any:
        raise RuntimeError("no such kernel\x07\nstack of the library")

    if late:
        monkeypatch.setattr(xp, "host", host)
    else:
        spec = replace(spec, text="mine", bound=replace(spec.bound, forward=forward))
    with pytest.raises(BnstatsError) as raised:
        compute(spec, samples=1000, backend=name)
    error = "RuntimeError" if late else "NotImplementedError"
    message = f"{spec.text} does not run on {name}: {error}: no such kernel\\x07"
    assert raised.value.message == message
    assert raised.value.hint == "`backend='numpy'` runs every layer"
    assert raised.value.exit_code == 2


# --- list ------------------------------------------------------------------------------------


def installed_version(package: str) -> str:
    """Return the version that was asked of pip; the library itself may add its build, +cu130."""
    return importlib.metadata.version(package).partition("+")[0]


def test_backends_are_listed_with_versions_and_devices(cli: Cli):
    code, out, err = cli("list", "backends")
    assert (code, err) == (0, "")
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert tuple(rows) == BACKENDS
    assert f"{np.__version__}   cpu" in rows["numpy"]
    for name in ACCELERATORS:
        if missing(name):
            assert rows[name].endswith(f"not installed: pip install 'bnstats[{name}]'")
            continue
        assert rows[name].split()[1].partition("+")[0] == installed_version(name)
        assert all(d.name in rows[name] for d in load(name).devices())


def test_backends_are_listed_as_data(cli: Cli):
    code, out, err = cli("list", "backends", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert document["schema"] == "bnstats-list/1"
    rows = {row["name"]: row for row in document["backends"]}
    assert tuple(rows) == BACKENDS
    assert rows["numpy"]["devices"] == [{"name": "cpu", "about": ""}]
    for name in ACCELERATORS:
        there = not missing(name)
        version = rows[name]["version"]
        assert (version and version.partition("+")[0]) == (
            installed_version(name) if there else None
        )
        found = [{"name": d.name, "about": d.about} for d in load(name).devices()] if there else []
        assert rows[name]["devices"] == found


def test_backends_that_are_missing_are_listed(cli: Cli, monkeypatch):
    without(monkeypatch, "torch", "jax")
    _, out, _ = cli("list", "backends")
    for name in ACCELERATORS:
        assert f"  {name} not installed: pip install 'bnstats[{name}]'" in out
    without(monkeypatch, "array_api_compat")
    assert "  array-api-compat not installed: pip install" in cli("list", "backends").out
    without(monkeypatch, "torch", "jax")
    assert cli("list", "backends", "--plain").out.split() == list(BACKENDS)
    document = json.loads(cli("list", "backends", "--json").out)
    assert [row["version"] for row in document["backends"][1:]] == [None, None]


@each
def test_a_document_tells_the_backend(cli: Cli, name):
    namespace(name)
    code, out, err = cli("compute", "relu", "-n", "1000", "--backend", name, "--json")
    assert (code, err) == (0, "")
    read_document(out)
    assert f'"backend": "{name}"' in out


@each
def test_devices_that_cannot_be_listed(cli: Cli, name, monkeypatch):
    """A broken driver, or JAX_PLATFORMS of a platform that is not here."""

    def fail():
        raise RuntimeError("no such platform\nand more")

    monkeypatch.setattr(namespace(name), "devices", fail)
    code, out, err = cli("compute", "relu", "-n", "9", "--backend", name)
    assert (code, out) == (4, "")
    assert err == f"error: {name} finds no devices: RuntimeError: no such platform\n"
    code, out, err = cli("list", "backends")
    assert (code, err) == (0, "")
    assert f"{name} finds no devices: RuntimeError: no such platform" in out


def test_a_chain_of_causes_ends():
    """One that is raised again from itself is its own cause."""
    inner, outer = MemoryError("inner"), ValueError("outer")
    outer.__cause__, inner.__cause__ = inner, inner
    assert list(chain(outer)) == [outer, inner]
    assert list(chain(None)) == []
