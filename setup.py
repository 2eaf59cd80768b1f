"""The toolkit's package: a light base, and one extra for each heavier stage."""

from itertools import chain

from setuptools import find_packages, setup

RL = [
    "numba>=0.57",  # the observations' loops
    "scipy>=1.8",  # sums over the explorer's map
    # What sample-factory needs, for it is installed alone on the new stack: it asks for numpy<2 and
    # gymnasium<1, and works with newer ones (docs/install.md).
    "colorlog",
    "filelock",
    "psutil>=5.7",
    "signal-slot-mp>=1.0.3,<2",
    "tensorboard>=1.15",
    "threadpoolctl>=2",
    "wandb>=0.12.9",
]
OLD = ["nle==1.0.0", "gymnasium==0.29.1", "numpy>=1.24,<2", "sample-factory==2.1.1"]
NEW = ["nle==1.3.0", "gymnasium==1.2.0", "numpy>=2", "opencv-python-headless"]
PLOTS = [
    "rliable>=1.2",  # aggregates over runs, with intervals
    "pandas<3",  # its dependency arch does not import with 3
]
LLAMACPP = ["xllamacpp>=2026.10"]  # llama.cpp and its server
EXPORT = ["pyarrow>=14,<26"]  # Parquet; 26 needs numpy 2
GAMES = {  # beside .[rl] or .[rl-new]
    "minihack": ["minihack==1.0.2", "setuptools<81"],  # it imports pkg_resources
    "crafter": ["crafter==1.8.3"],
    "babyai": ["minigrid==2.3.1"],
}
DEV = [
    *LLAMACPP,
    "pytest>=7",
    "pytest-cov>=4",
    "codespell[toml]>=2.2.4",
    "hypothesis>=6",
    "datasets>=2.14",  # reads the exported labels in the tests
    "ruff>=0.6",
    "mypy>=1.10",
    "types-PyYAML",
    "types-tqdm",
    "tensorboard>=2.10",  # reads the event files in the tests
]

TEST = [*PLOTS, *EXPORT, *DEV, *chain(*GAMES.values())]
EITHER = [
    *RL,
    *(f'{package}; python_version < "3.12"' for package in OLD),
    *(f'{package}; python_version >= "3.12"' for package in NEW),
]

setup(
    name="motif-toolkit",
    version="0.1.0",
    description="Motif: a reward function for NetHack from an LLM's preferences",
    license="MIT",
    python_requires=">=3.10",
    packages=find_packages(include=["motif*", "sample_factory_ext*", "scripts*", "benchmarks*"]),
    package_data={"motif": ["**/*.yaml", "**/*.npy", "**/*.css", "**/*.html", "**/*.md"]},
    install_requires=[
        "torch>=2.2",
        "numpy>=1.24",
        "tqdm>=4.60",
        "pyyaml>=6.0",
        "openai>=1.30",  # any OpenAI-compatible server
        "tensorboardX>=2.6",
        "matplotlib>=3.6",
        "pillow>=9",  # films
        "jinja2>=3.1",  # pages
    ],
    extras_require={
        "rl": EITHER,
        "rl-new": [*RL, *NEW],  # for Python 3.11, too
        "plots": PLOTS,
        "export": EXPORT,
        # The old stack's numpy<2 holds vllm at 0.14.0; the other two read GGUF files.
        "vllm": ["vllm>=0.10.2", "gguf>=0.10", "accelerate>=1"],
        "llamacpp": LLAMACPP,
        **GAMES,
        "test": TEST,
        "dev": [*EITHER, *TEST],
    },
)
