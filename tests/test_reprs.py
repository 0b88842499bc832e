"""What objects show in a terminal and in a notebook: never an address, and well-formed HTML."""

import importlib
import inspect
import math
import re

import numpy as np
import pytest

import tinygrad_np
from tests.test_display import Checker
from tests.test_public_names import MODULES
from tests.tools import each
from tests.train.tools import loader, trainer_of
from tinygrad_np import Tensor, data, nn, optim, profile, train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.gradcheck import gradcheck

# Parts of the engine that no function returns to a user.
INTERNAL = {
    "AugmentationTable",
    "Blas",
    "Control",
    "Corrections",
    "Curve",
    "Feed",
    "Interrupts",
    "Journal",
    "Library",
    "Means",
    "Models",
    "Pace",
    "Pool",
    "ReceptiveFields",
    "SavePlan",
    "Server",
    "Task",
    "Training",
    "Trial",
    "Value",
    "Variable",
    "Workers",
    "cuda",
}


def public_classes():
    """Yield the classes with public names that a module of the package defines."""
    for name in MODULES:
        if not name.endswith("__main__"):
            for value in vars(importlib.import_module(name)).values():
                is_own = inspect.isclass(value) and value.__module__ == name
                if is_own and not value.__name__.startswith("_"):
                    yield value


def test_no_public_class_shows_an_address():
    found = {cls for cls in public_classes() if cls.__repr__ is object.__repr__}
    assert {cls.__name__ for cls in found} - INTERNAL == set()


def test_list_of_internal_classes_is_current():
    names = {cls.__name__ for cls in public_classes() if cls.__repr__ is object.__repr__}
    assert names == INTERNAL


def profiled():
    with profile() as table:
        x = Tensor([1.0, 2.0], requires_grad=True)
        (x * x).sum().backward()
    return table


def history(*losses, **logs):
    made = train.History()
    made.epochs = [
        {"epoch": epoch, "validation_loss": loss, **logs} for epoch, loss in enumerate(losses, 1)
    ]
    return made


def fitted():
    trainer = trainer_of(
        train.EarlyStopping("train_loss"), train.Evaluate("own", loader()), clip_norm=1.0
    )
    trainer.fit(loader(), 1)
    return trainer


def model():
    return nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 1)))


def adam():
    return optim.Adam(model().parameters(), lr=0.01)


LOGITS = np.log([[0.7, 0.3], [0.4, 0.6]])
OBJECTS = {
    "Tensor": lambda: Tensor([1.0]),
    "Parameter": lambda: nn.Parameter([1.0]),
    "result": lambda: nn.Parameter([1.0]) * 2,
    "Module": model,
    "Summary": lambda: model().summary((2,)),
    "SummaryRow": lambda: model().summary((2,)).rows[0],
    "History": lambda: history(2.0, 1.0, train_accuracy=0.5),
    "empty History": train.History,
    "History of nan and None": lambda: history(math.nan, None, note="a < b"),
    "Trainer": fitted,
    "State": lambda: fitted().state,
    "Optimizer": adam,
    "Schedule": lambda: optim.StepLR(adam(), 2),
    "ImageDataset": lambda: data.digits()[0],
    "DataLoader": loader,
    "Augmentation": lambda: data.Augmentation(shift=1),
    "Profile": profiled,
    "empty Profile": profile,
    "Row": lambda: profiled().rows()[0],
    "ClassificationReport": lambda: train.classification_report([0, 1], [0, 1], 2, ["<a>", "b"]),
    "Calibration": lambda: train.calibration(LOGITS, [0, 1]),
    "Report": lambda: gradcheck(lambda x: (x * x).sum(), [np.ones(2)]),
    "RunConfig": RunConfig,
    "Callback": train.Callback,
    "Progress": train.Progress,
    "Checkpoint": lambda: train.Checkpoint("runs"),
    "EarlyStopping": train.EarlyStopping,
    "StepLog": lambda: train.StepLog("steps.csv"),
    "Handle": lambda: nn.Parameter([1.0]).register_hook(lambda grad: None),
    "debug": tinygrad_np.debug,
    "no_grad": tinygrad_np.no_grad,
    "op": lambda: tinygrad_np.ops.add,
    "Node": lambda: (nn.Parameter([1.0]) * 2).node,
}


@each("name", OBJECTS)
def test_instances_show_no_address(name):
    shown = OBJECTS[name]()
    for text in (repr(shown), str(shown)):
        assert text
        assert not re.search(r"object at|function .* at|0x[0-9a-f]{6}|cannot be shown", text), text


@each("name", OBJECTS)
def test_html_is_well_formed_and_has_no_script(name):
    shown = OBJECTS[name]()
    if hasattr(shown, "_repr_html_"):
        html = shown._repr_html_()
        found = Checker(html)
        assert {"script", "style"}.isdisjoint(tag for tag, _ in found.tags)
        assert not any(key.startswith("on") for _, attrs in found.tags for key in attrs)
        assert "cannot be shown" not in html
        assert not re.search(r"background:(?!transparent|color-mix)", html)


@each(
    "cls", [nn.Module, optim.Adam, train.Trainer, train.History, data.DataLoader, data.ImageDataset]
)
def test_an_object_without_attributes_can_be_shown(cls):
    assert repr(cls.__new__(cls))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Optimizer", "Adam(lr=0.01, betas=(0.9, 0.999), eps=1e-08, weight_decay=0, amsgrad=False, "
         "decoupled_weight_decay=False): 4 tensors, 13 parameters"),
        ("Schedule", "StepLR(step_size=2, gamma=0.1): step 0, lr 0.01"),
        ("ImageDataset", "ImageDataset 'digits': 1,438 images of shape (1, 8, 8), uint8; "
         "10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; scale 16, mean 0, std 1; from the package"),
        ("DataLoader", "DataLoader(batch_size=64, shuffle=True, seed=5): 4 batches of 256 samples "
         "from 'digits', epoch 0"),
        ("Augmentation", "Augmentation(shift=1)"),
        ("RunConfig", "RunConfig()"),
        ("Checkpoint", "Checkpoint('runs', monitor='validation_loss')"),
        ("EarlyStopping", "EarlyStopping(monitor='validation_loss', patience=5)"),
        ("StepLog", "StepLog(path='steps.csv')"),
        ("Progress", "Progress()"),
        ("Handle", "<Handle of a registered hook>"),
        ("debug", "<Debug, not active>"),
        ("no_grad", "no_grad()"),
    ],
)  # fmt: skip
def test_text_of(name, text):
    assert repr(OBJECTS[name]()) == text


def test_optimizer_lists_its_groups_and_frozen_tensors():
    layer = nn.Linear(2, 1)
    layer.bias.requires_grad = False
    groups = [{"params": [layer.weight], "lr": 0.1}, {"params": [layer.bias]}]
    optimizer = optim.RMSprop(groups, lr=0.2)
    lines = repr(optimizer).splitlines()
    assert lines[0] == "RMSprop("
    assert lines[1].startswith("  (0): lr=0.1, ")
    assert lines[1].endswith(": 1 tensor, 2 parameters")
    assert lines[2].endswith(": 1 tensor, 1 parameter (1 frozen tensor)")
    assert "1 frozen tensor" in optimizer._repr_html_()


def test_sequential_schedule_lists_its_parts():
    optimizer = adam()
    parts = [optim.LinearWarmup(optimizer, 4), optim.CosineAnnealingLR(optimizer, 6)]
    lines = repr(optim.SequentialLR(optimizer, parts, [4])).splitlines()
    assert lines[0].startswith("SequentialLR(milestones=[4]): step 0, lr ")
    assert [line.split("(")[0] for line in lines[1:]] == ["  LinearWarmup", "  CosineAnnealingLR"]


def test_trainer_names_its_parts_and_progress():
    lines = repr(fitted()).splitlines()
    names = [line.split()[0] for line in lines if not line.startswith("     ")]
    assert names == ["Trainer", "model", "optimizer", "loss", "clip_norm", "callbacks", "trained"]
    text = "\n".join(lines)
    assert "model      Sequential, 650 parameters" in text
    assert "loss       Tensor.cross_entropy" in text
    assert "best 2." in text
    assert lines[-1] == "  trained    1 epoch, 4 steps"


def test_state_shows_its_position_and_logs():
    text = repr(fitted().state)
    assert text.startswith("State(epoch 1 of 1, step 4, 4 steps per epoch; train loss 2.")
    assert "train accuracy" in text


# Modules.


def test_module_html_nests_layers_and_counts_parameters():
    outer = model()
    outer.scale = nn.Parameter([1.0, 2.0])
    outer.again = outer[0]
    outer[0].weight.requires_grad = False
    texts = "|".join(Checker(outer._repr_html_()).texts)
    assert texts == (
        "Sequential|: 15 parameters, 6 frozen"
        "|0| |Linear|(2, 3): 9 parameters, 6 frozen"
        "|1| |Sequential|: 4 parameters"
        "|0| |ReLU|1| |Linear|(3, 1): 4 parameters"
        "|again| |Linear|(2, 3): shared with 0"
        "|scale| Parameter of shape (2,): 2 parameters"
    )


def test_module_html_leaves_names_of_parameters_unchanged():
    layer = nn.Linear(1, 1)
    layer._repr_html_()
    assert layer.weight.name == ""


def test_module_that_contains_itself_is_shown():
    outer = model()
    outer.inner = outer
    assert "shared with the model itself" in outer._repr_html_()


def test_scope_shows_its_module():
    outer = model()
    scopes = [repr(outer[0](np.ones((1, 2), np.float32)).node.scope)]
    outer[0].register_forward_hook(lambda module, inputs, out: scopes.append(repr(out.node.scope)))
    outer(np.ones((1, 2), np.float32))
    assert scopes == ["<Scope of Linear>", "<Scope of Linear 0>"]


# Tensors.


def test_abbreviated_tensor_shows_its_shape_and_range():
    x = Tensor(np.arange(2000, dtype=np.float16).reshape(20, 100), requires_grad=True)
    assert repr(x).endswith(
        "shape=(20, 100), dtype=float16, min=0, mean=999.5, max=1999, requires_grad=True)"
    )
    assert "min=" not in repr(x[:10])
    bad = Tensor(np.full(2000, np.nan))
    assert repr(bad).endswith("dtype=float64, min=nan, mean=nan, max=nan)")


def test_tensor_html_shows_shape_dtype_op_and_values():
    x = nn.Parameter([[1.0, 2.0]])
    x.name = "w"
    assert repr(x) == "Tensor([[1., 2.]], name='w', requires_grad=True)"
    texts = Checker(x._repr_html_()).texts
    assert texts == ["Parameter", " w: shape (1, 2), float32, requires_grad=True", "[[1., 2.]]"]
    assert " shape (1, 2), float32, op=mul" in Checker((x * 2)._repr_html_()).texts


def test_named_tensors_show_their_names_and_format_as_numbers():
    x = Tensor(2.0, requires_grad=True, name="x")
    y = x * 3
    y.name = "y"
    assert repr(x) == "Tensor(2., name='x', requires_grad=True)"
    assert f"{y} {y:.3f}" == "Tensor(6., name='y', op=mul) 6.000"
    assert Checker(y._repr_html_()).texts[1] == " y: shape (), float32, op=mul"


# Datasets.


@each(
    ("shape", "dtype"),
    [((3, 1, 8, 8), np.uint8), ((25, 3, 4, 6), np.float32), ((1, 2, 100, 90), np.int64)],
)
def test_dataset_html_shows_the_first_images_with_their_classes(shape, dtype):
    images = np.arange(math.prod(shape)).reshape(shape) % 200
    dataset = data.ImageDataset(
        images.astype(dtype), np.arange(shape[0]) % 2, ("a<b", "c"), scale=200.0
    )
    found = Checker(dataset._repr_html_())
    count = min(shape[0], 20)
    assert found.texts[1:] == (["a<b", "c"] * count)[:count]
    (picture,) = (attrs for tag, attrs in found.tags if tag == "image")
    assert picture["href"].startswith("data:image/png;base64,")


def test_empty_dataset_is_shown_without_a_picture():
    dataset = data.ImageDataset(np.zeros((0, 1, 2, 2)), np.zeros(0, int), ("a",))
    assert "0 images" in repr(dataset)
    assert "<svg" not in dataset._repr_html_()
