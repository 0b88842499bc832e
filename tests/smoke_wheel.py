"""Smoke test of an installed wheel, run outside the checkout: train, save, load, draw, explore."""

import tempfile
from pathlib import Path

import tinygrad_np
from models import DigitsCNN
from tinygrad_np import cli, data, no_grad, optim, train, viz


def main():
    """Use each part of the package once; exit with an error if the network has not learned."""
    print("tinygrad_np", tinygrad_np.__version__, "from", Path(tinygrad_np.__file__).parent)
    tinygrad_np.manual_seed(0)
    train_set, test_set = data.digits()
    model = DigitsCNN()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    loader = data.DataLoader(train_set, batch_size=64, shuffle=True, seed=0)
    for _ in range(5):
        for images, labels in loader:
            optimizer.zero_grad()
            model(images).cross_entropy(labels).backward()
            optimizer.step()
    images, labels = test_set.batch(slice(None))
    with no_grad():
        accuracy = train.accuracy(model(images), labels)
    print(f"digits: accuracy {accuracy:.3f} on {len(test_set)} test images")
    if accuracy < 0.85:
        raise SystemExit("the digits network has not learned")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        train.save(path, model.state_dict())
        DigitsCNN().load_state_dict(train.load(path))
        page = viz.explore(model, Path(folder) / "graph.html", images[:1])
        print(page.stat().st_size, "bytes in the page of the explorer")
    print(len(viz.draw(model, images[:1]).source), "characters in the graph drawing")
    if cli.main(["summary", "LeNet"]):
        raise SystemExit("the command line failed")
    vocabulary, tokens = data.characters(data.alice())
    print(len(tokens), "characters in the novel,", len(vocabulary), "of them different")
    package = Path(tinygrad_np.__file__).parent
    for name in (
        "cli/detector.safetensors",
        "playground/bundled.safetensors",
        "playground/static/app.js",
        "playground/templates/index.html",
    ):
        print((package / name).stat().st_size, "bytes in", name)
    if cli.main(["playground"]) != 1:
        raise SystemExit("the playground without Flask must say how to install it")


if __name__ == "__main__":
    main()
