"""Train a small GPT on a novel to predict the next character, then let it write a paragraph.

    python examples/char_gpt.py
    python examples/char_gpt.py --prompt "The Queen " --seed 1

It trains for about two minutes on two CPU cores. A batch contains windows from random places in
"Alice's Adventures in Wonderland", and every character of a window is a target. At ten points of
the run, it prints the training loss and the loss on the last tenth of the novel, which is held out
for validation. A uniform guess has a loss of log 67 = 4.20 nats per character.

To write, it samples one character at a time from the 20 most likely ones. For each new character,
the model processes the last 64 again, which char_rnn.py does not need to do.

The output directory, runs/char_gpt by default, gets the text (sample.txt), the weights
(model.safetensors), the losses (results.json) and their plot (losses.png).
"""

import sys

import numpy as np

import language
import shared
from models.char_gpt import CharGPT
from tinygrad_np import Tensor
from tinygrad_np.console import run_program

SETTING = language.Setting(
    steps=4000, batch_size=12, length=64, lr=0.004, weight_decay=0.1, dropout=0.1
)


def main() -> None:
    """Train, write a paragraph, and save both."""
    args = language.parse_arguments(__doc__ or "", "runs/char_gpt", SETTING)
    text = language.load()
    prompt = text.encode(args.prompt)
    args.out = shared.output_folder(args.out, "runs/char_gpt")
    model = CharGPT(
        np.random.default_rng(args.seed),
        vocabulary=len(text.vocabulary),
        context=args.setting.length,
        width=32 if args.quick else 128,
        depth=1 if args.quick else 3,
        dropout=args.setting.dropout,
    )
    history = language.fit(model, model, text, args.setting, args.seed)

    def predict_next(tokens: list[int]) -> Tensor:
        logits: Tensor = model(np.array([tokens[-model.context :]]))  # 1, T, vocabulary
        return logits[0, -1]

    model.eval()
    written = language.write(predict_next, prompt, 600, np.random.default_rng(args.seed))
    language.report(args, model, history, text.decode(written))


if __name__ == "__main__":
    sys.exit(run_program(main))
