"""The toolkit's package: a light base, and one extra for each heavier stage."""

from setuptools import find_packages, setup

RL = [
    "nle==1.0.0",  # the newest that resolves with sample-factory 2.1.1
    "gymnasium==0.29.1",
    "sample-factory==2.1.1",
    "numpy>=1.24,<2",
    "numba>=0.57",  # the observations' loops
    "scipy>=1.8",  # sums over the explorer's map
]
PLOTS = [
    "rliable>=1.2",  # aggregates over runs, with intervals
    "pandas<3",  # its dependency arch does not import with 3
]
LLAMACPP = ["xllamacpp>=2026.10"]  # llama.cpp and its server
EXPORT = ["pyarrow>=14,<26"]  # Parquet; 26 needs numpy 2
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
        "rl": RL,
        "plots": PLOTS,
        "export": EXPORT,
        # numpy<2 of .[rl] holds vllm at 0.14.0; the other two read GGUF files.
        "vllm": ["vllm>=0.10.2", "gguf>=0.10", "accelerate>=1"],
        "llamacpp": LLAMACPP,
        "dev": [*RL, *PLOTS, *EXPORT, *DEV],
    },
)
