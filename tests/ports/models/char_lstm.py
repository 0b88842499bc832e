"""Character language model with nn.LSTM, trained by truncated backpropagation through time."""

import torch
import torch.nn as nn
import torch.nn.functional as F

text = """Tyger Tyger, burning bright,
In the forests of the night;
What immortal hand or eye,
Could frame thy fearful symmetry?
"""
chars = sorted(set(text))
char_to_idx = {ch: i for i, ch in enumerate(chars)}


class CharLSTM(nn.Module):
    def __init__(self, vocab_size, embed_dim=12, hidden_dim=24, num_layers=2, dropout=0.2):
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, embed_dim)
        self.rnn = nn.LSTM(embed_dim, hidden_dim, num_layers, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden_dim, vocab_size)

    def forward(self, x, hidden=None):
        out, hidden = self.rnn(self.embedding(x), hidden)
        return self.fc(self.dropout(out)), hidden

    def init_hidden(self, batch_size):
        weight = next(self.parameters())
        return (weight.new_zeros(2, batch_size, 24), weight.new_zeros(2, batch_size, 24))


def build():
    return {"model": CharLSTM(len(chars))}


@torch.no_grad()
def sample(model, start, length):
    model.eval()
    idx = torch.tensor([[char_to_idx[start]]], dtype=torch.long)
    hidden = None
    result = [start]
    for _ in range(length):
        logits, hidden = model(idx, hidden)
        probs = F.softmax(logits[:, -1] / 0.8, dim=-1)
        idx = torch.multinomial(probs, num_samples=1)
        result.append(chars[idx.item()])
    model.train()
    return "".join(result)


def train(modules, steps):
    model = modules["model"]
    batch_size, seq_len = 2, 12
    data = torch.tensor([char_to_idx[ch] for ch in text], dtype=torch.long)
    per_row = (len(data) - 1) // batch_size
    inputs = data[: batch_size * per_row].view(batch_size, -1)
    targets = data[1 : batch_size * per_row + 1].view(batch_size, -1)

    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    losses = []
    hidden = model.init_hidden(batch_size)
    for step in range(steps):
        i = step % (per_row // seq_len) * seq_len
        x, y = inputs[:, i : i + seq_len], targets[:, i : i + seq_len]
        hidden = tuple(h.detach() for h in hidden)
        logits, hidden = model(x, hidden)
        loss = criterion(logits.reshape(-1, len(chars)), y.reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        if step % 10 == 0:
            print(f"step {step}: loss {loss:.3f}, perplexity {torch.exp(loss).item():.2f}")
            print(sample(model, "T", 20))
    return losses
