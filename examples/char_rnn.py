"""Train an LSTM on a novel to predict the next character, then let it write a paragraph.

    python examples/char_rnn.py
    python examples/char_rnn.py --prompt "The Queen " --seed 1

It trains for about two minutes on two CPU cores, with the data, the loop and the output of
char_gpt.py; only the model differs. A batch again contains windows from random places, and the LSTM
starts each of them with a state of zeros. Training steps are then independent of each other; in
truncated backpropagation through time, they would pass the state from batch to batch.

To write, the LSTM reads the prompt once. Its state then summarizes all the text so far, so each new
character costs one time step, however long the text is.

The output directory, runs/char_rnn by default, gets the text (sample.txt), the weights
(model.safetensors), the losses (results.json) and their plot (losses.png).
"""

import sys

import numpy as np

import language
import shared
from models.char_rnn import CharRNN, State
from tinygrad_np import Tensor
from tinygrad_np.console import run_program

SETTING = language.Setting(
    steps=3500, batch_size=16, length=64, lr=0.01, weight_decay=0.1, dropout=0.5
)


class Reader:
    """Read a growing text, and keep the LSTM's state, so that no character is read twice."""

    def __init__(self, model: CharRNN) -> None:
        self.model = model
        self.state: State | None = None
        self.read = 0

    def predict_next(self, tokens: list[int]) -> Tensor:
        """Read the characters that are new since the last call; return logits (vocabulary,)."""
        new = np.array([tokens[self.read :]])
        logits, self.state = self.model(new, self.state)  # 1, T, vocabulary
        self.read = len(tokens)
        last: Tensor = logits[0, -1]
        return last


def main() -> None:
    """Train, write a paragraph, and save both."""
    args = language.parse_arguments(__doc__ or "", "runs/char_rnn", SETTING)
    text = language.load()
    prompt = text.encode(args.prompt)
    args.out = shared.output_folder(args.out, "runs/char_rnn")
    model = CharRNN(
        np.random.default_rng(args.seed),
        vocabulary=len(text.vocabulary),
        hidden=32 if args.quick else 384,
        dropout=args.setting.dropout,
    )
    history = language.fit(model, lambda tokens: model(tokens)[0], text, args.setting, args.seed)
    model.eval()
    predict_next = Reader(model).predict_next
    written = language.write(predict_next, prompt, 600, np.random.default_rng(args.seed))
    language.report(args, model, history, text.decode(written))


if __name__ == "__main__":
    sys.exit(run_program(main))
