"""Tiny mixtures of experts and models of other layouts behind the toy's tokenizer, and copies with changed tensors."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.toy import edit_tensors, make_toy

#: Fields that every family here shares; 258 ids are the toy tokenizer's.
BASE = {
    "vocab_size": 258, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 2048, "bos_token_id": 256, "eos_token_id": 257,
    "pad_token_id": 257, "initializer_range": 0.15, "tie_word_embeddings": False,
}  # fmt: skip
MLA = {
    "q_lora_rank": 32,
    "kv_lora_rank": 32,
    "qk_rope_head_dim": 16,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
}
#: Model type and fields: one of each layout of experts, and of the layouts beside them.
FAMILIES: dict[str, dict[str, object]] = {
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "minimax_m2": {"num_local_experts": 8, "num_experts_per_tok": 2},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64},
    "deepseek_v3": MLA | {"n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 64,
                          "first_k_dense_replace": 1, "n_group": 2, "topk_group": 1},
    "gpt_oss": {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 64, "head_dim": 32},
    "granitemoe": {"num_local_experts": 4, "num_experts_per_tok": 2, "logits_scaling": 6.0, "embedding_multiplier": 12.0},
    "llama4_text": {"num_local_experts": 4, "num_experts_per_tok": 1, "intermediate_size_mlp": 128, "interleave_moe_layer_step": 1},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 1024},
    "mamba2": {"state_size": 16, "head_dim": 16, "num_heads": 8, "n_groups": 1, "expand": 2},
    "bloom": {"n_layer": 2, "n_head": 4},
    "gemma2": {"query_pre_attn_scalar": 16, "sliding_window": 64},
    "phi3": {},
}  # fmt: skip


def make_family(folder: Path, family: str, seed: int = 3) -> Path:
    """Write a tiny checkpoint of a family as the library saves it, in bf16."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    make_toy(folder)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink(missing_ok=True)
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **(BASE | FAMILIES[family]))
    model = AutoModelForCausalLM.from_config(config).to(torch.bfloat16)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 3 and "expert" in name:  # some families leave what they fuse uninitialised
                parameter.normal_(0.0, 0.15)
    model.generation_config.eos_token_id = model.generation_config.pad_token_id = 257
    model.save_pretrained(folder)
    return folder


def copy_with(source: Path, folder: Path, change: Callable[[str, object], object]) -> Path:
    """A copy of a checkpoint whose tensors went through ``change(name, tensor)``."""
    shutil.copytree(source, folder)
    edit_tensors(folder, change)
    return folder


def make_vision(folder: Path, seed: int = 4) -> Path:
    """A tiny vision-language release: Gemma 3 with a tower that no text runs through."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    make_toy(folder)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()
    torch.manual_seed(seed)
    config = Gemma3Config(
        text_config=BASE | {"query_pre_attn_scalar": 16, "sliding_window": 64, "tie_word_embeddings": True},
        vision_config={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 28, "patch_size": 14},
        mm_tokens_per_image=1, boi_token_index=250, eoi_token_index=251, image_token_index=252, bos_token_id=256,
        eos_token_id=257,
    )  # fmt: skip
    Gemma3ForConditionalGeneration(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def make_text_part(source: Path, folder: Path, change: Callable[[str, object], object] | None = None) -> Path:
    """The text model of ``make_vision``'s release, saved alone."""
    import torch
    from transformers import Gemma3Config, Gemma3ForCausalLM, Gemma3ForConditionalGeneration

    make_toy(folder)
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()
    whole = Gemma3ForConditionalGeneration.from_pretrained(source, dtype=torch.bfloat16)
    text = Gemma3ForCausalLM(Gemma3Config.from_pretrained(source).text_config).to(torch.bfloat16)
    inner = {f"model.{name}": value for name, value in whole.model.language_model.state_dict().items()}
    text.load_state_dict(inner, strict=False)
    text.tie_weights()
    with torch.no_grad():
        for name, parameter in text.named_parameters():
            if change:
                parameter.copy_(change(name, parameter.data))
    text.save_pretrained(folder)
    return folder
