"""What is seen of a module's pass, and that the module is left as it was. With real PyTorch."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from jupyter_green.errors import SettingError
from jupyter_green.studies.layers_torch import (
    Arguments,
    Call,
    Seen,
    as_before,
    changes_its_input,
    copied,
    counted_flops,
    forward,
    layers_of,
    mapped,
    message_of,
    named,
    not_called,
    see,
    tensors,
    training,
    with_own_code,
)

torch = pytest.importorskip("torch")
nn = torch.nn


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def arguments(*args: Any, **kwargs: Any) -> Arguments:
    return args, kwargs


def both(module: Any, given: Arguments) -> list[Seen]:
    return [see(module, given, gradients=gradients) for gradients in (False, True)]


def layers(module: Any, given: Arguments) -> dict[str, list[Call]]:
    """The calls of each layer by its name."""
    names = named(module)
    return {names[part]: calls for part, calls in layers_of(both(module, given)).items()}


X = torch.linspace(-1, 1, 32).reshape(4, 8)
SEQUENCE = torch.linspace(-1, 1, 160).reshape(4, 5, 8)


# --- what is a layer ------------------------------------------------------------------------


class Twice(nn.Module):  # type: ignore[name-defined,misc]
    """One module called twice, named arguments, tensors in containers, and what is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Linear(8, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, x: Any, *, scale: float, extra: Mapping[str, Any]) -> dict[str, Any]:
        x = self.shared(x) * scale + extra["a"][0]
        return {"out": self.head(self.shared(input=x)), "count": 3, "both": (x,)}


def test_a_shared_module_is_one_layer_with_its_own_input_of_each_call() -> None:
    found = layers(Twice(), arguments(X, scale=2.0, extra={"a": [torch.ones(4, 8)]}))

    assert {name: len(calls) for name, calls in found.items()} == {"shared": 2, "head": 1}
    first, second = found["shared"]
    assert torch.equal(first.arguments[0][0], X)
    assert first.needing == ()
    assert list(second.arguments[1]) == ["input"]
    assert second.needing == (0,)
    assert not torch.equal(second.arguments[1]["input"], X)


def test_a_module_without_modules_is_its_own_layer() -> None:
    assert list(layers(nn.Linear(8, 2), arguments(X))) == [""]


def test_attention_is_one_layer_and_its_projection_is_in_it() -> None:
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    found = layers(nn.ModuleList([attention])[0], arguments(SEQUENCE, SEQUENCE, SEQUENCE))
    assert list(found) == [""]


def test_the_fast_path_of_an_encoder_is_seen_and_kept() -> None:
    """In evaluation mode and without gradients an encoder layer calls none of its parts."""
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)

    assert len(layers(model.train(), arguments(SEQUENCE))) == 16
    found = layers(model.eval(), arguments(SEQUENCE))
    assert list(found) == ["layers.0", "layers.1"]
    with torch.no_grad():
        once = forward(found["layers.0"][0])
        assert counted_flops(once) == 0  # its parts are fused into one call, which is not counted


class Functional(nn.Module):  # type: ignore[name-defined,misc]
    """Work of its own between the calls of its parts."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(8, 8), nn.ReLU())

    def forward(self, x: Any) -> Any:
        return x + torch.relu(self.inner(x)) @ torch.ones(8, 8)


def test_a_container_with_work_of_its_own_is_no_layer() -> None:
    assert list(layers(Functional(), arguments(X))) == ["inner.0", "inner.1"]


def test_what_computes_weights_is_a_part_of_its_layer() -> None:
    parametrize = torch.nn.utils.parametrizations
    model = nn.Sequential(parametrize.weight_norm(nn.Linear(8, 8)), nn.ReLU())
    found = layers(model, arguments(X))

    assert list(found) == ["0", "1"]
    with torch.enable_grad():
        assert counted_flops(training(found["0"][0])) == 2 * (2 * 4 * 8 * 8)


def test_recurrent_layers_and_whole_numbers() -> None:
    class Reader(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.lstm = nn.Embedding(10, 8), nn.LSTM(8, 8, batch_first=True)

        def forward(self, words: Any) -> Any:
            return self.lstm(self.embedding(words))[0]

    found = layers(Reader(), arguments(torch.arange(8).reshape(2, 4)))
    assert list(found) == ["embedding", "lstm"]
    for (call,) in found.values():
        with torch.enable_grad():
            training(call)()


def test_packed_sequences() -> None:
    packed = nn.utils.rnn.pack_padded_sequence(SEQUENCE, [5, 4, 3, 2], batch_first=True)
    (call,) = layers(nn.LSTM(8, 3), arguments(packed))[""]
    assert type(call.arguments[0][0]) is type(packed)
    with torch.enable_grad():
        training(call)()


def test_a_compiled_module_is_one_layer() -> None:
    compiled = torch.compile(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), backend="eager")
    assert list(layers(compiled, arguments(X))) == [""]


def test_who_is_called_in_its_own_way_is_refused() -> None:
    class Own(nn.Module):  # type: ignore[name-defined,misc]
        def __call__(self, x: Any) -> Any:
            return x

    with pytest.raises(SettingError, match=r"Own is not called as .*; measure_inference\(\)"):
        see(Own(), arguments(X), gradients=False)


def test_what_the_module_raises_passes_through_and_nothing_stays() -> None:
    before = nn.Module.__call__
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        see(nn.Linear(3, 2), arguments(X), gradients=True)
    assert nn.Module.__call__ is before
    see(nn.Linear(8, 2), arguments(X), gradients=True)
    assert nn.Module.__call__ is before


# --- gradients ------------------------------------------------------------------------------


def test_gradients_are_computed_where_the_model_needs_them() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
    model[0].requires_grad_(False)
    found = layers(model, arguments(X))

    assert [found[name][0].gradient for name in "012"] == [False, False, True]
    assert [found[name][0].needing for name in "012"] == [(), (), ()]
    model[0].requires_grad_(True)
    found = layers(model, arguments(X))
    assert [found[name][0].needing for name in "012"] == [(), (0,), (0,)]


def test_flops_are_two_for_each_multiply_and_add() -> None:
    """Backward: the gradient of the weights, and, unless it is the first, of the input."""
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    found = layers(model, arguments(X))
    flops = 2 * 4 * 8 * 16

    with torch.no_grad():
        assert [counted_flops(forward(found[name][0])) for name in "012"] == [flops, 0, flops]
    with torch.enable_grad():
        counts = [counted_flops(training(found[name][0])) for name in "012"]
    assert counts == [2 * flops, 0, 3 * flops]


def test_flops_of_what_fails_are_unknown() -> None:
    def fails() -> None:
        raise ValueError

    assert counted_flops(fails) is None


def test_the_loss_is_where_the_backward_pass_begins() -> None:
    model, losses = nn.Linear(8, 2), []

    def loss(output: Any) -> Any:
        losses.append(output.shape)
        return output.square().mean()

    (call,) = layers(model, arguments(X))[""]
    with torch.enable_grad():
        training(call, loss=loss)()
    assert losses == [(4, 2)]


# --- work in place --------------------------------------------------------------------------


class Grows(nn.Module):  # type: ignore[name-defined,misc]
    """Doubles its input in place: after a thousand repeats it would not be finite any more."""

    def forward(self, x: Any) -> Any:
        return x.mul_(2)


def test_work_in_place_does_not_drift() -> None:
    model = nn.Sequential(nn.Linear(8, 8), Grows(), nn.Linear(8, 8), nn.ReLU(inplace=True))
    given = X.clone()
    found = layers(model, arguments(given))

    in_place = {name: changes_its_input(calls[0]) for name, calls in found.items()}
    assert in_place == {"0": False, "1": True, "2": False, "3": True}
    call = found["1"][0]
    # Its input is what it was before the call.
    assert torch.allclose(call.arguments[0][0], model[0](X).detach())
    once, step = forward(call, copy=True), training(call, copy=True)
    for _ in range(1000):
        with torch.no_grad():
            result = once()
        with torch.enable_grad():
            step()
    assert torch.allclose(result, 2 * model[0](X).detach())  # type: ignore[arg-type]
    assert torch.equal(given, X)


def test_a_batch_is_not_changed_by_looking() -> None:
    given = X.clone()
    seen = see(nn.Sequential(Grows(), nn.Linear(8, 2)), arguments(given), gradients=True)

    assert torch.equal(given, X)
    assert changes_its_input(seen.calls[0])


def test_what_another_layer_changes_later_is_kept_as_it_was() -> None:
    class Residual(nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(8, 8), nn.Identity()

        def forward(self, x: Any) -> Any:
            x = x * 1
            y = self.second(x).sum()
            x += 1
            return self.first(x) + y

    found = layers(Residual(), arguments(X))
    assert torch.equal(found["second"][0].arguments[0][0], X)
    assert not changes_its_input(found["second"][0])


# --- left as it was -------------------------------------------------------------------------


def test_the_module_is_left_as_it_was() -> None:
    """Statistics of batch norm, gradients, modes and random numbers of three kinds."""
    model = nn.Sequential(
        nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(inplace=True)
    )
    model[3].eval()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 3.0)
    state = copy.deepcopy(model.state_dict())
    buffers = list(model.buffers())
    modes = [part.training for part in model.modules()]
    chances = torch.get_rng_state(), random.getstate(), np.random.get_state()

    with as_before(model, arguments(X)):
        for calls in layers(model, arguments(X)).values():
            copy_ = changes_its_input(calls[0])
            with torch.no_grad():
                forward(calls[0], copy=copy_)()
            with torch.enable_grad():
                training(calls[0], copy=copy_)()
        assert not torch.equal(model[1].running_mean, state["1.running_mean"])
        model.eval()
        random.random()
        np.random.random()

    assert all(torch.equal(one, state[name]) for name, one in model.state_dict().items())
    assert [one is other for one, other in zip(model.buffers(), buffers, strict=True)] == [True] * 3
    assert all((one.grad == 3).all() for one in model.parameters())
    assert [part.training for part in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), chances[0])
    assert random.getstate() == chances[1]
    assert str(np.random.get_state()) == str(chances[2])


def test_it_is_left_so_by_an_interrupt_too() -> None:
    model = nn.BatchNorm1d(8)

    def interrupted() -> None:
        with as_before(model, arguments(X)):
            model(X)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not model.running_mean.any()
    assert model.num_batches_tracked == 0


def test_it_works_within_modes_of_inference_and_without_gradients() -> None:
    model = nn.Linear(8, 8)
    for mode in (torch.inference_mode, torch.no_grad):
        with mode(), as_before(model, arguments(X)):
            (call,) = layers(model, arguments(torch.ones(4, 8)))[""]
            with torch.enable_grad():
                training(call)()
            assert call.gradient


def test_attributes_that_a_forward_writes_itself_are_not_restored() -> None:
    """As the documentation says: a counter has counted."""

    class Counts(nn.Linear):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x)

    model = Counts(8, 8)
    with as_before(model, arguments(X)):
        model(X)
    assert model.calls == 1


# --- what is in no layer --------------------------------------------------------------------


class Uses(nn.Module):
    """Has code of its own, a list of which one is called, and what is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 2))
        self.parts = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 3)])
        self.relu, self.unused = nn.ReLU(), nn.ReLU()
        self.attention = nn.MultiheadAttention(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.parts[0](x)) + 1
        return self.attention(x, x, x)[0]


def test_parameters_that_a_pass_does_not_call() -> None:
    model = Uses()
    seen = see(model, arguments(X), gradients=True)
    assert not_called(model, seen, layers_of([seen])) == {"idle": 72 + 18, "parts.1": 27}
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    seen = see(model, arguments(X), gradients=True)
    assert not_called(model, seen, layers_of([seen])) == {}


def test_a_plain_sequential_does_nothing_itself() -> None:
    uses, plain = Uses(), nn.Sequential(nn.Sequential(nn.Linear(8, 8)), nn.ReLU())

    class Named(nn.Sequential):
        pass

    class Adds(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + 1

    hooked = nn.Sequential(nn.Linear(8, 8))
    hooked.register_forward_hook(lambda module, args, output: output + 1)
    for model, expected in (
        (uses, {uses}),
        (plain, set()),
        (Named(nn.Linear(8, 8)), set()),
        (nn.Linear(8, 8), set()),
        (adds := Adds(nn.Linear(8, 8)), {adds}),
        (hooked, {hooked}),
    ):
        seen = see(model, arguments(X), gradients=False)
        assert with_own_code(seen, layers_of([seen])) == expected


def test_what_an_error_says_is_bounded() -> None:
    assert message_of(ValueError("two\n  lines")) == "two lines"
    assert len(message_of(ValueError("x" * 10**6))) == 300

    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert message_of(Silent()) == ""


# --- values ---------------------------------------------------------------------------------


def test_tensors_are_found_where_they_are() -> None:
    value = ([X, {"a": (X, 3)}], None, "text")
    assert len(list(tensors(value))) == 2
    doubled = mapped(value, lambda tensor: 2 * tensor)
    assert torch.equal(doubled[0][1]["a"][0], 2 * X)
    assert doubled[0][1]["a"][1:] == (3,)
    assert doubled[1:] == (None, "text")
    own = copied(((X,), {"y": X}))
    assert own[0][0].data_ptr() != X.data_ptr()
    assert own[1]["y"].data_ptr() != X.data_ptr()
