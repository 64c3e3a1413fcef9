"""A complete tiny checkpoint, made in a second: two layers, a byte-level tokenizer, a chat template."""

from __future__ import annotations

import json
from pathlib import Path

TEMPLATE = (
    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def make_toy(folder: Path, seed: int = 0, layers: int = 2, vocabulary: int | None = None, **config: object) -> Path:
    """Write a toy Llama checkpoint; ``vocabulary`` pads or cuts the embedding, ``config`` overrides fields."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: i for i, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|start|>", eos_token="<|end|>", pad_token="<|end|>"
    )
    fast.chat_template = TEMPLATE
    torch.manual_seed(seed)
    fields = {
        "vocab_size": vocabulary or len(fast),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "eos_token_id": fast.eos_token_id,
        "bos_token_id": fast.bos_token_id,
        "initializer_range": 0.15,
        "tie_word_embeddings": True,
    }
    model = LlamaForCausalLM(LlamaConfig(**(fields | config)))
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# toy\n", encoding="utf-8")
    return folder


def make_odd_head(folder: Path) -> Path:
    """A toy RoBERTa decoder beside the toy's tokenizer: between its final hidden state and its logits lies a network."""
    import torch
    from transformers import RobertaConfig, RobertaForCausalLM

    make_toy(folder)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()
    torch.manual_seed(5)
    config = RobertaConfig(
        vocab_size=258, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=600, is_decoder=True, initializer_range=0.15, pad_token_id=257, eos_token_id=257,
        bos_token_id=256,
    )  # fmt: skip
    RobertaForCausalLM(config).save_pretrained(folder)
    return folder


def edit_json(path: Path, **changes: object) -> None:
    """Change keys of a JSON file; None removes a key."""
    data = json.loads(path.read_text(encoding="utf-8"))
    data.update(changes)
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}), encoding="utf-8")


def edit_tensors(folder: Path, change: object) -> None:
    """Rewrite model.safetensors through ``change(name, tensor) -> tensor``."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = folder / "model.safetensors"
    with safe_open(str(path), framework="pt") as stored:
        names = list(stored.keys())  # not iterable itself
        tensors = {name: change(name, stored.get_tensor(name)).contiguous() for name in names}  # type: ignore[operator]
    save_file(tensors, str(path), {"format": "pt"})


def make_suite(
    folder: Path, documents: int = 12, chats: int = 2, asks: int = 2, length: int = 160, band: int = 6
) -> Path:
    """A small suite folder with every kind of item."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.yaml").write_text(
        "name: tiny\nversion: 1\ntitle: Tiny\nlicence: Apache-2.0\npurpose: tests\nshows: [plumbing]\n"
        f"cannot_show: [anything else]\nskip_tokens: 8\nprofiles: {{full: {{band_documents: {band}}},"
        " quick: {documents: 4, prompts: 1}}\n",
        encoding="utf-8",
    )
    words = [
        "stone",
        "river",
        "lamp",
        "paper",
        "seven",
        "quiet",
        "under",
        "green",
        "walks",
        "and",
        "the",
        "a",
        "of",
        "moon",
        "bread",
    ]
    lines = []
    for index in range(documents):
        text = " ".join(words[(index * 7 + k * (index + 3)) % len(words)] for k in range(length // 5))
        lines.append({"id": f"doc-{index}", "domain": ("prose", "code")[index % 2], "text": text})
    for index in range(chats):
        turns = [
            {"role": "user", "content": f"Say {words[index]} twice."},
            {"role": "assistant", "content": f"{words[index]} {words[index]}"},
        ]
        lines.append({"id": f"chat-{index}", "domain": "chat", "messages": turns})
    for index in range(asks):
        turns = [{"role": "user", "content": f"Tell me about {words[-index - 1]}."}]
        lines.append({"id": f"ask-{index}", "domain": "reply", "messages": turns, "sample": 12})
    (folder / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    return folder


def cut_core(folder: Path, documents: int = 16, letters: int = 300) -> Path:
    """The beginnings of the first items of each domain of the shipped suite: real text, few tokens."""
    from harness.suites import load_suite
    from harness.suites.model import spread

    core = load_suite("core")
    texts = spread([item for item in core.items if item.text], documents - 2)
    chats = [item for item in core.items if item.messages and not item.sample][:2]
    asks = [item for item in core.items if item.sample][:4]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "suite.yaml").write_text(
        "name: cut\nversion: 1\ntitle: Cut\nlicence: Apache-2.0\npurpose: tests\nshows: [known answers]\n"
        "cannot_show: [small effects]\nskip_tokens: 8\nprofiles: {full: {band_documents: 8}}\n",
        encoding="utf-8",
    )
    lines = [{"id": item.id, "domain": item.domain, "text": (item.text or "")[:letters]} for item in texts]
    for item in chats:
        turns = [{"role": m.role, "content": m.content[:120]} for m in item.messages[:3]]
        lines.append({"id": item.id, "domain": item.domain, "messages": turns})
    for item in asks:
        turns = [{"role": m.role, "content": m.content} for m in item.messages]
        lines.append({"id": item.id, "domain": item.domain, "messages": turns, "sample": 24})
    (folder / "items.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n", encoding="utf-8")
    return folder
