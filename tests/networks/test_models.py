"""Models of the user's own: what hooks must survive, and numbers that are known without them."""

from __future__ import annotations

import gc
import importlib.util
import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from cli_support import Cli, read_document

import bnstats
from bnstats.networks.propagation import Propagation, Row, Side

torch = pytest.importorskip("torch")
import models  # noqa: E402  (it needs torch)
from torch import nn  # noqa: E402

from bnstats.networks.models.factory import factory_of  # noqa: E402
from bnstats.networks.models.inputs import InputShape  # noqa: E402
from bnstats.networks.models.model import Model, ModelTask  # noqa: E402
from bnstats.sampling.layout import Chunk  # noqa: E402

NEAR = pytest.approx
FAR = 4.5


def rows_of(found: Propagation) -> dict[str, Row]:
    return {row.name: row for row in found.rows}


def one(factory: Callable[..., Any], shape: tuple[int, ...], **options: Any) -> Propagation:
    return bnstats.propagate(factory, input=shape, networks=1, **options)


def by_hand(
    factory: Callable[..., Any], shape: tuple[int, ...], chunk: int = 0, batch: int = 8
) -> tuple[Any, Any, Any]:
    """Return the model, its x and its dy of one draw, made as the task makes them."""
    from bnstats.networks.models import model as inside

    task = ModelTask(Model(factory_of(factory), InputShape(shape), batch), 0)
    kept: list[Any] = []
    original = inside._pass

    def spy(model: Any, made: Any, watcher: Any, generator: Any) -> None:
        state = generator.get_state()
        x = model.input.draw(model.batch, generator)
        kept.extend([made, x, generator, state])
        generator.set_state(state)
        original(model, made, watcher, generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inside, "_pass", spy)
        task.tally(Chunk(chunk, chunk, 1))
    made, x, generator, state = kept
    generator.set_state(state)
    x = task.subject.input.draw(batch, generator)
    return made, x, generator


def rms(tensor: Any) -> float:
    return float(tensor.detach().double().square().mean().sqrt())


# --- what is measured is what is there ------------------------------------------------------------


def test_every_row_is_the_tensor_at_the_time_of_its_call() -> None:
    """A residual block of in-place operations, recomputed by hand without any."""
    made, x, generator = by_hand(block, (4, 6, 6))
    found = rows_of(one(block, (4, 6, 6)))
    x = x.requires_grad_()
    a = made.conv1(x)
    b = made.bn1(a)
    c = torch.relu(b)
    d = made.conv2(c)
    e = made.bn2(d)
    f = e + x
    y = torch.relu(f)
    tensors = {"conv1": a, "bn1": b, "relu": c, "conv2": d, "bn2": e, "add": f, "relu#2": y}
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].y.typical.value == NEAR(rms(tensor), rel=1e-5), name
    dy = torch.randn(y.shape, generator=generator)
    inputs = {"conv1": x, "bn1": a, "relu": b, "conv2": c, "bn2": d, "add": e, "relu#2": f}
    gradients = torch.autograd.grad(y, list(inputs.values()), dy)
    for name, gradient in zip(inputs, gradients, strict=True):
        assert side(found[name]).typical.value == NEAR(rms(gradient), rel=1e-5), name


def block() -> nn.Module:
    return models.BasicBlock(4, 4, 1)


def side(row: Row) -> Side:
    assert row.dx is not None
    return row.dx


def test_correlation_is_the_mean_cosine_of_pairs_of_inputs() -> None:
    made, x, _ = by_hand(models.Stacked, (64,))
    flat = torch.relu(made.layers[0](x)).detach().double()
    flat = flat / flat.norm(dim=1, keepdim=True)
    gram = flat @ flat.T
    expected = float((gram.sum() - 8) / 56)
    single = ModelTask(Model(factory_of(models.Stacked), InputShape((64,))), 0).tally(
        Chunk(0, 0, 1)
    )
    assert single.correlation is not None
    assert float(single.correlation.mean[1]) == NEAR(expected, rel=1e-5)


def test_a_stack_in_torch_is_a_stack_without() -> None:
    """Two programs, two random generators, one law."""
    ours = bnstats.propagate("linear relu", width=64, depth=5, networks=4_000, batch=2)
    theirs = bnstats.propagate(models.Stacked, input=64, networks=1_000, batch=2)
    assert [row.layer for row in theirs.rows] == ["Linear", "ReLU"] * 5
    for a, b in zip(ours.rows, theirs.rows, strict=True):
        for mine, other in ((a.y, b.y), (side(a), side(b))):
            error = math.hypot(mine.typical.relative or 9, other.typical.relative or 9)
            assert abs(math.log(mine.typical.value / other.typical.value)) < FAR * error
        assert a.correlation is not None
        assert b.correlation is not None
        apart = a.correlation.value - b.correlation.value
        assert abs(apart) < FAR * math.hypot(a.correlation.stderr, b.correlation.stderr)


def test_the_pre_activation_net_grows_as_it_must() -> None:
    """E[x²] = 1 + l: He's weights give a branch of normalised x the variance 1 again."""
    found = bnstats.propagate(
        "models:pre_activation_net:channels=64,blocks=4", input="64x8x8", batch=16, networks=8
    )
    assert found.per == "PreActivation"
    ends = [row for row in found.rows if row.layer == "add"]
    for depth, row in enumerate(ends, 1):
        assert row.y.typical.value == NEAR(math.sqrt(1 + depth), rel=0.03)
    branch = rows_of(found)["1.relu"].correlation
    assert branch is not None
    assert branch.value == NEAR(1 / math.pi + 0.5 / 2 * 0.25, abs=0.12)
    assert [row.name for row in found.rows[:4]] == ["0.bn", "0.relu", "0.conv", "0.add"]


def test_a_transformer_runs_out_of_the_box() -> None:
    found = bnstats.propagate(
        models.Transformer, input="tokens:50x12", batch=4, networks=6, mode="eval"
    )
    rows = rows_of(found)
    assert rows["embed"].dx is rows["place"].dx is None
    assert rows["embed"].y.typical.value == NEAR(1.0, rel=0.1)
    assert side(rows["blocks.0.norm1"]).typical.value > 0
    assert rows["blocks.2.add#2"].y.typical.value > rows["blocks.0.add"].y.typical.value
    assert found.per == "TransformerBlock"
    assert found.rows[-1].name == "head"
    assert not found.warnings
    assert found.end("dx") is side(next(row for row in found.rows if row.dx))


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("models:ResNet18:width=8", "3x32x32"),
        ("models:vgg", "3x16x16"),
        ("models:Recurrent", "5x6"),
    ],
)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_models_of_many_kinds_run_out_of_the_box(path: str, shape: str, mode: Any) -> None:
    found = bnstats.propagate(path, input=shape, networks=3, batch=4, mode=mode)
    for row in found.rows:
        assert row.y.nonfinite == row.y.dead == 0, row.name
        assert row.dx is None or math.isfinite(row.dx.typical.value), row.name
    assert found.end("dx").typical.interval is not None
    again = bnstats.propagate(path, input=shape, networks=3, batch=4, mode=mode)
    assert again == found, "the same seed, the same digits"


@pytest.mark.parametrize("kind", ["gpt2", "vit"])
def test_models_of_transformers_run_from_their_configurations(kind: str) -> None:
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        def gpt2() -> Any:
            sizes = {"n_layer": 4, "n_embd": 32, "n_head": 4, "vocab_size": 60}
            return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes))

        def vit() -> Any:
            sizes = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4}
            more = {"intermediate_size": 64, "image_size": 32, "patch_size": 8}
            return transformers.ViTModel(transformers.ViTConfig(**sizes, **more))

        make, shape = (gpt2, "tokens:60x10") if kind == "gpt2" else (vit, "3x32x32")
        found = bnstats.propagate(make, input=shape, networks=3, batch=2)
    assert found.per in ("GPT2Block", "ViTLayer")
    assert found.factor["y"] is not None
    assert found.factor["dx"] is not None
    assert all(row.y.nonfinite == 0 for row in found.rows)


# --- traps ----------------------------------------------------------------------------------------


def test_a_module_that_is_called_again_has_a_row_for_every_call() -> None:
    names = [row.name for row in one(models.Stacked, (64,)).rows]
    assert names[:4] == ["layers.0", "relu", "layers.1", "relu#2"]


def test_functions_are_rows_where_a_model_calls_them_itself() -> None:
    found = rows_of(one(models.OverwritesItsInput, (16,)))
    assert list(found) == ["linear", "relu"]
    assert found["linear"].y.typical.value == NEAR(2.0, rel=0.2)  # x was doubled in place
    assert found["relu"].y.typical.value == NEAR(math.sqrt(2), rel=0.3)
    assert "linear.linear" not in found, "F.linear within nn.Linear is no layer of its own"


def test_what_a_checkpoint_calls_again_counts_once() -> None:
    from torch.utils.checkpoint import checkpoint

    class Checkpointed(models.Stacked):
        def forward(self, x: Any) -> Any:
            for layer in self.layers:
                x = checkpoint(layer, x, use_reentrant=False)
            return x

    names = [row.name for row in one(Checkpointed, (64,)).rows]
    assert names == [f"layers.{k}" for k in range(5)]


def test_rows_are_chosen_by_a_pattern() -> None:
    found = one(models.Stacked, (64,), rows="layers.[13]")
    assert [row.name for row in found.rows] == ["layers.1", "layers.3"]


def test_draws_leave_the_callers_generators_and_threads_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    expected = torch.rand(()).item(), np.random.rand(), random.random()  # noqa: NPY002
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    threads = torch.get_num_threads()
    bnstats.propagate(models.NumpysWeights, input=4, networks=2)
    assert (torch.rand(()).item(), np.random.rand(), random.random()) == expected  # noqa: NPY002
    assert torch.get_num_threads() == threads


def test_weights_of_numpys_old_generator_are_drawn_anew_and_again() -> None:
    first, again = (bnstats.propagate(models.NumpysWeights, input=4, networks=5) for _ in "ab")
    assert first == again
    assert not first.warnings
    assert first.rows[-1].layer == "matmul"


def test_memory_does_not_grow_with_the_draws() -> None:
    """A model that a cycle holds is gone before the next one is made."""
    bnstats.propagate(models.Cyclic, input=4, networks=2)
    gc.collect()
    gc.disable()
    try:
        bnstats.propagate(models.Cyclic, input=4, networks=12)
        alive = sum(type(thing) is models.Cyclic for thing in gc.get_objects())
    finally:
        gc.enable()
    assert alive <= 1


def test_training_and_evaluating_differ_where_there_is_batch_norm() -> None:
    """Untrained running means are 0 and 1: evaluated, nothing is normalised."""

    def scaled() -> nn.Module:
        convolution = nn.Conv2d(3, 8, 3)
        nn.init.normal_(convolution.weight, std=3.0)
        return nn.Sequential(convolution, nn.BatchNorm2d(8))

    train, evaluated = (one(scaled, (3, 8, 8), mode=mode) for mode in ("train", "eval"))
    assert train.rows[1].y.typical.value == NEAR(1.0, rel=1e-3)
    assert evaluated.rows[1].y.typical.value == NEAR(evaluated.rows[0].y.typical.value, rel=1e-3)


def test_a_branch_that_is_zero_at_initialisation_is_told() -> None:
    def zeroed() -> nn.Module:
        second = nn.Linear(8, 8, bias=False)
        nn.init.zeros_(second.weight)
        return nn.Sequential(nn.Linear(8, 8), second)

    found = bnstats.propagate(zeroed, input=8, networks=4)
    assert found.rows[1].y.dead == 4
    assert found.verdicts["y"] == "vanishing"
    assert "4 of 4 networks are dead: their y is 0, e.g. at 1" in found.warnings


def test_digits_do_not_depend_on_the_number_of_workers() -> None:
    one_, three = (
        bnstats.propagate("models:ResNet18:width=8", input="3x32x32", networks=6, workers=w)
        for w in (1, 3)
    )
    assert one_ == three


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("raises", "models:raises raised OSError: weights.pt: no such file", "traceback"),
        ("nothing_drawn", "models:nothing_drawn returned an int, not a torch.nn.Module", "a class"),
        ("MODEL", "models:MODEL is one model, whose weights are drawn already", "name its class"),
        ("one_model", "models:one_model does not draw its weights anew", "return one model twice"),
        ("reseeds", "models:reseeds does not draw its weights anew", "it may set a seed"),
        ("needs", "models:needs raised TypeError", None),
        ("nowhere", "'models' has no 'nowhere'", None),
        ("math", "models:math is a module, not something that makes models", "a class of"),
        ("Returns", "the forward of models:Returns returned a str, not a tensor", "first one"),
        ("Returns:what=none", "the forward of models:Returns:what=none returned a None", None),
        (
            "Returns:what=whole",
            "the forward of models:Returns:what=whole returned a tensor of",
            None,
        ),
        (
            "Returns:what=detached",
            "no gradient leads from the output of models:Returns:what=detached",
            "without torch.no_grad()",
        ),
        ("Returns:what", "'what' is not KEY=VALUE", "depth=20"),
        ("Returns:size=3", "models:Returns:size=3 raised TypeError", None),
        ("ChangesItsLayers", "models:ChangesItsLayers calls other layers in other draws", "eval"),
        (
            "Stacked",
            "the forward of models:Stacked raised RuntimeError: mat1 and mat2 shapes cannot be "
            "multiplied (8x4 and 64x64); in layers.0 (Linear), which got 8x4",
            "the shape of one input, without the batch",
        ),
    ],
)
def test_what_is_no_model_is_told_in_a_line(path: str, message: str, hint: str | None) -> None:
    with pytest.raises(bnstats.BnstatsError) as caught:
        bnstats.propagate(f"models:{path}", input=4, networks=12)
    assert caught.value.message.startswith(message), caught.value.message
    assert hint is None or hint in (caught.value.hint or "")


@pytest.mark.parametrize("kind", ["linen", "nnx"])
def test_a_model_of_flax_is_told_that_torchs_are_meant(kind: str) -> None:
    pytest.importorskip("flax")
    from flax import linen, nnx

    def make() -> Any:
        if kind == "linen":
            return linen.Dense(3)
        return nnx.Sequential(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))

    with pytest.raises(bnstats.BnstatsError, match=r"of flax, not a torch\.nn\.Module") as caught:
        bnstats.propagate(make, input=4)
    assert caught.value.hint == "models of flax cannot be watched, only those of torch"


def test_parameters_that_no_draw_changes_are_named() -> None:
    found = bnstats.propagate(models.half_pretrained, input=4, networks=3)
    assert found.warnings == ("1 parameters are the same in every draw: 0.weight",)


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["models:vgg"], "models:vgg needs the shape of an input", "--input 3x224x224"),
        (["models:ResNet18"], "models:ResNet18 needs the shape of an input", "--input tokens:"),
        (["models:one_model"], "models:one_model needs the shape of an input", "--input 3x224x224"),
        (
            ["models:vgg", "--input", "3x16x16", "--init", "he"],
            "init has no effect on a model",
            None,
        ),
        (["models:vgg", "--input", "3x16x16", "--depth", "3"], "depth has no effect", None),
        (
            ["models:vgg", "--input", "3x16x16", "--rows", "nothing"],
            "no layer of models:vgg is called 'nothing'",
            "--rows *",
        ),
    ],
)
def test_options_that_do_not_go_with_a_model_are_told(
    cli: Cli, arguments: list[str], message: str, hint: str | None
) -> None:
    outcome = cli("propagate", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    lines = outcome.err.splitlines()
    assert lines[0].startswith(f"error: {message}"), lines
    assert hint is None or hint in lines[-1], lines


def test_without_torch_a_model_is_told_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bnstats.networks.models.factory.find_spec", lambda name: None)
    with pytest.raises(bnstats.HostError, match="models need torch") as caught:
        bnstats.propagate("models:vgg", input="3x16x16")
    assert caught.value.hint == "pip install 'bnstats[torch]'"


def test_a_model_is_propagated_on_the_command_line(cli: Cli) -> None:
    call = ("propagate", "models:ResNet18:width=4", "--input", "3x32x32", "--networks", 3)
    document = read_document(cli(*call, "--json").out)
    (entry,) = document["results"]
    assert (entry["layer"], entry["engine"]) == ("models:ResNet18:width=4", "torch")
    assert (entry["mode"], entry["batch"], entry["width"], entry["per"]) == (
        "train",
        8,
        None,
        "BasicBlock",
    )
    text = cli(*call).out
    assert text.startswith("models:ResNet18:width=4   input 3x32x32 · train · x, dy ~ N(0, 1)\n")
    assert "a BasicBlock [" in text
    assert "3 networks · 8 inputs each · torch · seed 0" in text
    assert all(len(line) <= 80 for line in text.splitlines())
