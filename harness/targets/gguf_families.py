"""The families of models whose GGUF files are read here: what each field and each tensor of a file is called elsewhere.

Facts of the published formats: llama.cpp's converter writes the names on the left, the release's own files hold those
on the right. What a family's table does not list is refused by name, because it would compute and not be applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

_COMMON = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
}
_RMS = {"attention.layer_norm_rms_epsilon": "rms_norm_eps"}
_EXPERTS = {"expert_count": "num_experts", "expert_used_count": "num_experts_per_tok"}
_EXPERT_WIDTH = {"expert_feed_forward_length": "moe_intermediate_size"}
_SHARED_WIDTH = {"expert_shared_feed_forward_length": "shared_expert_intermediate_size"}
_TOPS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_ATTENTION = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
}
_GATED = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_HEAD_NORMS = {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"}
_ROUTED = {
    "ffn_gate_inp": "mlp.gate",
    "ffn_gate_exps": "mlp.experts.{e}.gate_proj",
    "ffn_up_exps": "mlp.experts.{e}.up_proj",
    "ffn_down_exps": "mlp.experts.{e}.down_proj",
}
_MIXTRAL = {
    "ffn_gate_inp": "block_sparse_moe.gate",
    "ffn_gate_exps": "block_sparse_moe.experts.{e}.w1",
    "ffn_down_exps": "block_sparse_moe.experts.{e}.w2",
    "ffn_up_exps": "block_sparse_moe.experts.{e}.w3",
}
_SHARED = {
    "ffn_gate_inp_shexp": "mlp.shared_expert_gate",
    "ffn_gate_shexp": "mlp.shared_expert.gate_proj",
    "ffn_up_shexp": "mlp.shared_expert.up_proj",
    "ffn_down_shexp": "mlp.shared_expert.down_proj",
}
_FOUR_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_AFTER_NORMS = {
    "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
_TRUNK = _ATTENTION | _GATED
_WITHOUT_BEFORE = {name: value for name, value in _TRUNK.items() if name not in {"attn_norm", "ffn_norm"}}


@dataclass(frozen=True, slots=True)
class Family:
    """How the files of one family are read.

    Attributes:
        model_type: what the family is called in a release's config.json.
        architecture: the class that computes it.
        blocks: tensors of a layer and what they are called in a release, without their suffix; ``{e}`` counts experts.
        tops: the same for tensors outside of the layers.
        keys: fields of the metadata, without the family's name in front, and the configuration that they set.
        fixed: configuration that llama.cpp computes for this family whatever the file says.
        silent: what llama.cpp takes where the file says nothing.
        required: fields that a file has to state, because llama.cpp itself refuses to go on without them.
        interleaved: rows of queries and keys lie with the two halves that turn together side by side.
        offset: weights of norms are stored with 1 added.
        transposed: weights lie in the release as [inputs, outputs].
        partial: only the first dimensions of a head may turn.
        biases: the configuration that says which linear layers have a bias, and a tensor that shows it.
        norms: what the keys of the norms' epsilon are called.

    """

    model_type: str
    architecture: str
    blocks: Mapping[str, str]
    tops: Mapping[str, str] = field(default_factory=lambda: dict(_TOPS))
    keys: Mapping[str, str] = field(default_factory=lambda: dict(_RMS))
    fixed: Mapping[str, JsonValue] = field(default_factory=dict)
    silent: Mapping[str, JsonValue] = field(default_factory=dict)
    interleaved: bool = False
    offset: bool = False
    transposed: tuple[str, ...] = ()
    partial: bool = False
    biases: Mapping[str, str] = field(default_factory=dict)
    rename: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> dict[str, str]:
        """All fields of the metadata and the configuration that each sets."""
        return {key: self.rename.get(name, name) for key, name in (_COMMON | dict(self.keys)).items()}


_LLAMA = Family(
    "llama",
    "LlamaForCausalLM",
    _TRUNK,
    interleaved=True,
    biases={"attention_bias": "attn_q.bias", "mlp_bias": "ffn_up.bias"},
)
_GEMMA: dict[str, JsonValue] = {"hidden_activation": "gelu_pytorch_tanh", "hidden_act": "gelu_pytorch_tanh"}
_SCALES = {
    "embedding_scale": "embedding_multiplier",
    "residual_scale": "residual_multiplier",
    "attention.scale": "attention_multiplier",
    "logit_scale": "logits_scaling",
}

#: By llama.cpp's name of the architecture.
FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "qwen2": Family("qwen2", "Qwen2ForCausalLM", _TRUNK, fixed={"use_sliding_window": False}),
    "qwen3": Family(
        "qwen3",
        "Qwen3ForCausalLM",
        _TRUNK | _HEAD_NORMS,
        fixed={"use_sliding_window": False},
        biases={"attention_bias": "attn_q.bias"},
    ),
    "qwen2moe": Family(
        "qwen2_moe",
        "Qwen2MoeForCausalLM",
        _ATTENTION | _ROUTED | _SHARED,
        keys=_RMS | _EXPERTS | _EXPERT_WIDTH | _SHARED_WIDTH,
        fixed={"norm_topk_prob": False, "decoder_sparse_step": 1, "mlp_only_layers": [], "use_sliding_window": False},
    ),
    "qwen3moe": Family(
        "qwen3_moe",
        "Qwen3MoeForCausalLM",
        _ATTENTION | _HEAD_NORMS | _ROUTED,
        keys=_RMS | _EXPERTS | _EXPERT_WIDTH,
        fixed={"norm_topk_prob": True, "decoder_sparse_step": 1, "mlp_only_layers": [], "use_sliding_window": False},
    ),
    "olmoe": Family(
        "olmoe",
        "OlmoeForCausalLM",
        _ATTENTION | _HEAD_NORMS | _ROUTED,
        keys=_RMS | _EXPERTS,
        fixed={"norm_topk_prob": False},
    ),
    "minimax-m2": Family(
        "minimax_m2",
        "MiniMaxM2ForCausalLM",
        _ATTENTION | _HEAD_NORMS | _MIXTRAL | {"exp_probs_b": "block_sparse_moe.e_score_correction_bias"},
        keys=_RMS | _EXPERTS,
        rename={"num_experts": "num_local_experts"},
        partial=True,
    ),
    "gemma": Family("gemma", "GemmaForCausalLM", _TRUNK, fixed=_GEMMA, offset=True),
    "gemma2": Family(
        "gemma2",
        "Gemma2ForCausalLM",
        _TRUNK | _FOUR_NORMS,
        keys=_RMS
        | {
            "attn_logit_softcapping": "attn_logit_softcapping",
            "final_logit_softcapping": "final_logit_softcapping",
            "attention.sliding_window": "sliding_window",
        },
        fixed=_GEMMA,
        silent={"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0, "sliding_window": 4096},
        offset=True,
    ),
    "gemma3": Family(
        "gemma3_text",
        "Gemma3ForCausalLM",
        _TRUNK | _FOUR_NORMS | _HEAD_NORMS,
        keys=_RMS
        | {"final_logit_softcapping": "final_logit_softcapping", "attention.sliding_window": "sliding_window"},
        fixed=_GEMMA | {"attn_logit_softcapping": None},
        silent={"final_logit_softcapping": None},
        offset=True,
    ),
    "phi3": Family(
        "phi3",
        "Phi3ForCausalLM",
        {
            "attn_norm": "input_layernorm",
            "attn_qkv": "self_attn.qkv_proj",
            "attn_output": "self_attn.o_proj",
            "ffn_norm": "post_attention_layernorm",
            "ffn_up": "mlp.gate_up_proj",
            "ffn_down": "mlp.down_proj",
        },
        keys=_RMS | {"attention.sliding_window": "sliding_window"},
        silent={"sliding_window": None},
        partial=True,
    ),
    "starcoder2": Family(
        "starcoder2",
        "Starcoder2ForCausalLM",
        _ATTENTION | {"ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"},
        keys={"attention.layer_norm_epsilon": "norm_epsilon"},
        fixed={"hidden_act": "gelu_pytorch_tanh", "sliding_window": None},
        biases={"use_bias": "attn_q.bias"},
    ),
    "stablelm": Family(
        "stablelm",
        "StableLmForCausalLM",
        _TRUNK,
        keys={"attention.layer_norm_epsilon": "layer_norm_eps"},
        biases={"use_qkv_bias": "attn_q.bias"},
        partial=True,
    ),
    "nemotron": Family(
        "nemotron",
        "NemotronForCausalLM",
        _ATTENTION | {"ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"},
        keys={"attention.layer_norm_epsilon": "norm_eps", "attention.layer_norm_rms_epsilon": "norm_eps"},
        fixed={"hidden_act": "relu2"},
        biases={"attention_bias": "attn_q.bias", "mlp_bias": "ffn_up.bias"},
        offset=True,
        partial=True,
    ),
    "olmo2": Family(
        "olmo2",
        "Olmo2ForCausalLM",
        _WITHOUT_BEFORE | _HEAD_NORMS | _AFTER_NORMS,
    ),
    "smollm3": Family("smollm3", "SmolLM3ForCausalLM", _TRUNK, fixed={"use_sliding_window": False}, interleaved=True),
    "granite": Family(
        "granite",
        "GraniteForCausalLM",
        _TRUNK,
        keys=_RMS | _SCALES,
        silent={
            "embedding_multiplier": 1.0,
            "residual_multiplier": 1.0,
            "logits_scaling": 1.0,
        },
        biases={"attention_bias": "attn_q.bias", "mlp_bias": "ffn_up.bias"},
        interleaved=True,
    ),
    "seed_oss": Family(
        "seed_oss",
        "SeedOssForCausalLM",
        {
            ("post_attention_norm" if name == "ffn_norm" else name): value
            for name, value in _TRUNK.items()
        },
        biases={"attention_bias": "attn_q.bias", "attention_out_bias": "attn_output.bias", "mlp_bias": "ffn_up.bias"},
    ),
    "gpt2": Family(
        "gpt2",
        "GPT2LMHeadModel",
        {
            "attn_norm": "ln_1",
            "attn_qkv": "attn.c_attn",
            "attn_output": "attn.c_proj",
            "ffn_norm": "ln_2",
            "ffn_up": "mlp.c_fc",
            "ffn_down": "mlp.c_proj",
        },
        tops={
            "token_embd": "transformer.wte",
            "position_embd": "transformer.wpe",
            "output_norm": "transformer.ln_f",
            "output": "lm_head",
        },
        keys={"attention.layer_norm_epsilon": "layer_norm_epsilon"},
        rename={
            "max_position_embeddings": "n_positions",
            "hidden_size": "n_embd",
            "num_hidden_layers": "n_layer",
            "num_attention_heads": "n_head",
            "num_key_value_heads": "",
            "intermediate_size": "n_inner",
        },
        transposed=("attn_qkv", "attn_output", "ffn_up", "ffn_down"),
    ),
}  # fmt: skip

#: A file of the architecture "llama" that states a window.
MISTRAL = Family(
    "mistral",
    "MistralForCausalLM",
    _TRUNK,
    keys=_RMS | {"attention.sliding_window": "sliding_window"},
    interleaved=True,
)
#: A file of the architecture "llama" with experts.
MIXTRAL = Family(
    "mixtral",
    "MixtralForCausalLM",
    _ATTENTION | _MIXTRAL,
    keys=_RMS | _EXPERTS,
    rename={"num_experts": "num_local_experts"},
    fixed={"sliding_window": None},
    interleaved=True,
)

#: What layers are called in front of a tensor's name in a release.
LAYERS = {"gpt2": "transformer.h.{n}."}
