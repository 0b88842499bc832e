"""Text, batches, training loop, sampling and files of char_gpt.py and char_rnn.py."""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

import shared
from tinygrad_np import Tensor, data, nn, no_grad, optim, train, viz
from tinygrad_np.cli.arguments import Parser, natural, path, positive
from tinygrad_np.errors import ArgumentError
from tinygrad_np.files import write_bytes
from tinygrad_np.runtime.memory import Array

Predict = Callable[[Array], Tensor]
"""Function from characters (N, T) to logits (N, T, vocabulary) of the character after each."""
PredictNext = Callable[[list[int]], Tensor]
"""Function from all characters of a text to logits (vocabulary,) of the next one."""


@dataclass(frozen=True)
class Setting:
    """Hyperparameters of a training run; `length` is the number of characters in a window."""

    steps: int
    batch_size: int
    length: int
    lr: float
    weight_decay: float
    dropout: float


@dataclass(frozen=True)
class Text:
    """A novel with characters as integers; its last tenth is held out for validation."""

    vocabulary: str
    train: Array
    validation: Array

    def encode(self, prompt: str) -> list[int]:
        """Return the integer of each character.

        Raises:
            ArgumentError: if a character does not occur in the novel.
        """
        for character in prompt:
            if character not in self.vocabulary:
                raise ArgumentError(
                    f"--prompt: expected characters that occur in the novel, got {character!r}."
                )
        tokens: list[int] = data.characters(prompt, self.vocabulary)[1].tolist()
        return tokens

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the characters of these integers."""
        return "".join(self.vocabulary[token] for token in tokens)


def load() -> Text:
    """Return "Alice's Adventures in Wonderland"."""
    vocabulary, tokens = data.characters(data.alice())
    end = len(tokens) * 9 // 10
    print(
        f"Alice's Adventures in Wonderland: {end:,} characters for training and the last "
        f"{len(tokens) - end:,} for validation; {len(vocabulary)} distinct characters"
    )
    return Text(vocabulary, tokens[:end], tokens[end:])


def parse_arguments(description: str, folder: str, setting: Setting) -> argparse.Namespace:
    """Parse the command line.

    Args:
        description: what the program does.
        folder: default output directory.
        setting: hyperparameters; --steps and --quick change some of them.

    Raises:
        ArgumentError: if an argument is invalid.
    """
    parser = Parser(description=description.split("\n", 1)[0])
    add = parser.add_argument
    text = f"number of training steps (default: {setting.steps})"
    add("--steps", type=positive, metavar="N", help=text)
    text = "seed of weights, batches, dropout and sampling (default: %(default)s)"
    add("--seed", type=natural, default=0, metavar="N", help=text)
    text = "start of the text to write (default: %(default)r)"
    add("--prompt", default="Alice ", metavar="TEXT", help=text)
    text = f"output directory (default: {folder}, with a number if it exists)"
    add("--out", type=path, metavar="DIR", help=text)
    add("--quick", action="store_true", help="short run of a small model")
    args = parser.parse_args()
    if not args.prompt:
        raise ArgumentError("--prompt: expected at least one character, got ''.")
    args.setting = replace(setting, steps=30, batch_size=8) if args.quick else setting
    if args.steps is not None:
        args.setting = replace(args.setting, steps=args.steps)
    return args


def fit(
    model: nn.Module, predict: Predict, text: Text, setting: Setting, seed: int
) -> list[dict[str, float]]:
    """Train with AdamW; print and return the losses at ten points of the run.

    The learning rate rises for a tenth of the steps, then falls to 0 along a cosine. Ctrl-C ends
    training early.
    """
    print(f"{type(model).__name__}: {sum(p.numel() for p in model.parameters()):,} parameters")
    generator = np.random.default_rng(seed)
    groups = optim.decay_groups(model.named_parameters(), setting.weight_decay)
    optimizer = optim.AdamW(groups, lr=setting.lr, betas=(0.9, 0.98))
    schedule = make_schedule(optimizer, setting.steps)
    interval = -(-setting.steps // 10)
    history: list[dict[str, float]] = []
    losses: list[float] = []
    start = time.perf_counter()

    def add_point(step: int) -> None:
        speed = len(losses) * setting.batch_size * setting.length / (time.perf_counter() - start)
        history.append(
            {
                "step": step,
                "train_loss": float(np.mean(losses)),
                "validation_loss": evaluate(model, predict, text.validation, setting.length),
                "characters_per_second": speed,
            }
        )
        print(describe(history[-1], setting.steps), flush=True)

    try:
        for step in range(1, setting.steps + 1):
            inputs, targets = draw_batch(text.train, setting, generator)
            loss = compute_loss(predict, inputs, targets)
            optimizer.zero_grad()
            loss.backward()
            optim.clip_grad_norm(model.parameters(), max_norm=1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            trained = step
            if step % interval == 0 or step == setting.steps:
                add_point(step)
                losses, start = [], time.perf_counter()
    except KeyboardInterrupt:
        if not history and not losses:
            raise
        print("Interrupted: writing with the weights so far. Press Ctrl-C again to write nothing.")
        if losses:
            add_point(trained)
    return history


def describe(row: dict[str, float], steps: int) -> str:
    """Return the line that `fit` prints for a row of the history."""
    return (
        f"step {row['step']:4} of {steps}: training loss {row['train_loss']:.3f}, validation loss "
        f"{row['validation_loss']:.3f}, {row['characters_per_second']:,.0f} characters/s"
    )


def make_schedule(optimizer: optim.Optimizer, steps: int) -> optim.Schedule:
    """Return a schedule that warms up for a tenth of the steps, then falls to 0."""
    warmup = max(1, steps // 10)
    parts = [
        optim.LinearWarmup(optimizer, warmup, start_factor=0.01),
        optim.CosineAnnealingLR(optimizer, T_max=max(1, steps - warmup)),
    ]
    return optim.SequentialLR(optimizer, parts, milestones=[warmup])


def draw_batch(
    tokens: Array, setting: Setting, generator: np.random.Generator
) -> tuple[Array, Array]:
    """Return windows from random places and, as targets, the same windows one character later.

    Both have shape (batch_size, length).
    """
    starts = generator.integers(0, len(tokens) - setting.length, setting.batch_size)
    windows = tokens[starts[:, None] + np.arange(setting.length + 1)]
    return windows[:, :-1], windows[:, 1:]


def compute_loss(predict: Predict, inputs: Array, targets: Array) -> Tensor:
    """Return the mean cross-entropy per character, in nats."""
    return predict(inputs).flatten(0, 1).cross_entropy(targets.reshape(-1))


@no_grad()
def evaluate(model: nn.Module, predict: Predict, tokens: Array, length: int) -> float:
    """Return the mean loss over a text cut into windows of `length` characters.

    The model does not see the previous window, so the first predictions in each window are poor.
    """
    count = (len(tokens) - 1) // length
    inputs, targets = (tokens[i : i + count * length].reshape(count, length) for i in (0, 1))
    model.eval()
    loss = compute_loss(predict, inputs, targets)
    model.train()
    return float(loss.item())


@no_grad()
def write(
    predict_next: PredictNext,
    tokens: Sequence[int],
    length: int,
    generator: np.random.Generator,
    temperature: float = 0.7,
    top_k: int = 20,
) -> list[int]:
    """Continue a text by sampling one character at a time.

    Args:
        predict_next: function that returns the logits of the next character.
        tokens: start of the text.
        length: number of characters to write.
        generator: source of the samples.
        temperature: divisor of the logits; below 1, it makes likely characters more likely.
        top_k: number of most likely characters to sample from.

    Returns:
        The start, followed by the new characters.
    """
    tokens = list(tokens)
    for _ in range(length):
        logits, candidates = predict_next(tokens).topk(top_k)
        probabilities = (logits.double() / temperature).softmax()
        tokens.append(int(generator.choice(candidates.numpy(), p=probabilities.numpy())))
    return tokens


def report(
    args: argparse.Namespace, model: nn.Module, history: list[dict[str, float]], written: str
) -> None:
    """Print the text and the final loss; write them, the weights and a plot to the directory."""
    name = type(model).__name__
    print(f"\n{written}\n")
    write_bytes(args.out / "sample.txt", f"{written}\n".encode())
    train.save(args.out / "model.safetensors", model.state_dict(), {"model": name})
    results = {"model": name, "seed": args.seed, "setting": asdict(args.setting)}
    shared.write_json(args.out / "results.json", results | {"history": history})
    viz.save(plot(history, name), args.out / "losses.png")
    loss = history[-1]["validation_loss"]
    print(f"{name}: validation loss {loss:.3f} nats per character; files in {args.out}/")


def plot(history: list[dict[str, float]], name: str) -> viz.Figure:
    """Plot training and validation loss against the step."""
    figure = viz.Figure((7, 4))
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    for key, label, color in (
        ("train_loss", "training, mean since the last point", "#2874a6"),
        ("validation_loss", "validation", "#ca6f1e"),
    ):
        axes.plot(steps, [row[key] for row in history], color=color, marker="o", label=label)
    axes.set(title=f"{name} on Alice's Adventures in Wonderland", xlabel="step")
    axes.set(ylabel="cross-entropy per character in nats")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
