"""Policy gradient (REINFORCE) with discounted, standardized returns."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim

eps = np.finfo(np.float32).eps.item()


class Corridor:
    """Walk on 5 cells; the right end is rewarded."""

    def reset(self):
        self.position = 2
        return self.observe()

    def observe(self):
        state = np.zeros(5, dtype=np.float32)
        state[self.position] = 1.0
        return state

    def step(self, action):
        self.position = min(max(self.position + (1 if action == 1 else -1), 0), 4)
        return self.observe(), 1.0 if self.position == 4 else -0.1, self.position == 4


class Policy(nn.Module):
    def __init__(self):
        super(Policy, self).__init__()
        self.affine1 = nn.Linear(5, 16)
        self.dropout = nn.Dropout(p=0.2)
        self.affine2 = nn.Linear(16, 2)

    def forward(self, x):
        x = self.affine1(x)
        x = self.dropout(x)
        x = F.relu(x)
        return self.affine2(x)


def build():
    return {"policy": Policy()}


def train(modules, steps):
    policy = modules["policy"]
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    env = Corridor()
    losses = []
    for _ in range(steps):
        state, log_probs, entropies, rewards = env.reset(), [], [], []
        for _ in range(10):
            logits = policy(torch.from_numpy(state).float().unsqueeze(0))
            log_prob = F.log_softmax(logits, dim=1)
            probs = log_prob.exp()
            action = torch.multinomial(probs.detach(), 1)
            log_probs.append(log_prob.gather(1, action).squeeze(1))
            entropies.append(-(probs * log_prob).sum(dim=1))
            state, reward, done = env.step(action.item())
            rewards.append(reward)
            if done:
                break

        R, returns = 0, []
        for r in rewards[::-1]:
            R = r + 0.99 * R
            returns.insert(0, R)
        returns = torch.tensor(returns)
        returns = (returns - returns.mean()) / (returns.std() + eps)

        policy_loss = [-log_prob * R for log_prob, R in zip(log_probs, returns)]
        optimizer.zero_grad()
        loss = torch.cat(policy_loss).sum() - 0.01 * torch.stack(entropies).mean()
        loss.backward()
        optimizer.step()
        losses += [loss.item(), sum(rewards)]
    return losses
