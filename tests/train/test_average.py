"""AverageWeights: updates after each step, checkpoints and errors."""

import pytest

from tests.nn.tools import assert_same
from tests.train.tools import STEPS, linear, loader, trainer_of
from tinygrad_np import optim, train
from tinygrad_np.errors import ArgumentError, DtypeError


def averaging():
    """Return a trainer with an average of its model's weights, and the average."""
    model = linear()
    ema = optim.EMA(model, 0.9)
    return trainer_of(train.AverageWeights(ema), model=model), ema


def test_average_is_updated_after_each_step():
    trainer, ema = averaging()
    trainer.fit(loader(), 1)
    assert ema.updates == STEPS
    expected = optim.EMA(linear(), 0.9)
    plain = trainer_of(model=expected.model)

    class Update(train.Callback):
        def on_batch_end(self, state):
            expected.update()

    plain.callbacks.append(Update())
    plain.fit(loader(), 1)
    assert_same(ema.averages, expected.averages)
    assert_same(trainer.model.state_dict(), plain.model.state_dict())


def test_average_is_resumed_from_a_checkpoint(tmp_path):
    """A resumed average has the bits of one that was not interrupted."""
    path = tmp_path / "training.safetensors"
    whole, expected = averaging()
    whole.fit(loader(), 2)
    first, _ = averaging()
    batches = loader()
    first.fit(batches, 1)
    first.save(path)
    second, ema = averaging()
    second.load(path)
    second.fit(loader(), 1)
    assert ema.updates == 2 * STEPS
    assert_same(ema.averages, expected.averages)


def test_invalid_average_raises():
    with pytest.raises(DtypeError, match=r"^AverageWeights: expected `ema` to be an optim\.EMA, g"):
        train.AverageWeights(linear())
    _, ema = averaging()
    callback = train.AverageWeights(ema)
    with pytest.raises(ArgumentError, match=r"^EMA\.load_state_dict: "):
        callback.load_state_dict({"updates": -1, "averages": ema.averages})
    assert repr(callback) == "AverageWeights(EMA(decay=0.9): 0 updates)"
