"""Models for text compared with PyTorch's: logits, loss and gradients in float64."""

import numpy as np
import pytest

from models.char_gpt import CharGPT
from models.char_rnn import CharRNN
from tests.oracle.pytorch import F, torch
from tests.tools import rng
from tinygrad_np import Tensor

pytestmark = pytest.mark.slow

nn = torch.nn


class Block(nn.Module):
    """Block of CharGPT on top of PyTorch's own multi-head attention."""

    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        """Map (N, T, width) to the same shape."""
        y = self.norm1(x)
        hidden = torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
        x = x + self.attention(y, y, y, attn_mask=hidden, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """CharGPT with vocabulary 11, context 8, width 12, 3 heads and 2 blocks."""

    def __init__(self):
        super().__init__()
        self.token, self.position = nn.Embedding(11, 12), nn.Embedding(8, 12)
        self.blocks = nn.Sequential(Block(12, 3), Block(12, 3))
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 11)

    def forward(self, tokens):
        """Return logits (N, T, 11)."""
        x = self.token(tokens) + self.position.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


class RNN(nn.Module):
    """CharRNN with vocabulary 11, width 6, hidden 10 and 2 layers."""

    def __init__(self):
        super().__init__()
        self.token, self.lstm = nn.Embedding(11, 6), nn.LSTM(6, 10, 2, batch_first=True)
        self.head = nn.Linear(10, 11)

    def forward(self, tokens):
        """Return logits (N, T, 11)."""
        return self.head(self.lstm(self.token(tokens))[0])


def name_in_pytorch(name):
    """Translate the names of the attention's parameters."""
    for ours, theirs in (
        ("attention.project.weight", "attention.in_proj_weight"),
        ("attention.project.bias", "attention.in_proj_bias"),
        ("attention.out.", "attention.out_proj."),
    ):
        name = name.replace(ours, theirs)
    return name


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (CharGPT(rng(), vocabulary=11, context=8, width=12, heads=3, depth=2), GPT()),
        (CharRNN(rng(), vocabulary=11, width=6, hidden=10, depth=2), RNN()),
    ],
    ids=["CharGPT", "CharRNN"],
)
def test_logits_loss_and_gradients_match_pytorch(ours, theirs):
    ours.astype(np.float64)
    theirs.double()
    state = {name_in_pytorch(name): torch.tensor(a) for name, a in ours.state_dict().items()}
    theirs.load_state_dict(state)
    tokens = rng().integers(0, 11, (3, 8))
    targets = rng(1).integers(0, 11, (3, 8))

    found = ours(Tensor(tokens))
    found = found[0] if isinstance(found, tuple) else found
    loss = found.flatten(0, 1).cross_entropy(targets.reshape(-1))
    loss.backward()
    expected = theirs(torch.tensor(tokens))
    their_loss = F.cross_entropy(expected.flatten(0, 1), torch.tensor(targets).flatten())
    their_loss.backward()

    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), 1e-9, 1e-12)
    assert loss.item() == pytest.approx(their_loss.item(), rel=1e-12)
    gradients = {name: parameter.grad.numpy() for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        expected = gradients.pop(name_in_pytorch(name))
        np.testing.assert_allclose(parameter.grad.numpy(), expected, 1e-9, 1e-12, err_msg=name)
    assert not gradients
