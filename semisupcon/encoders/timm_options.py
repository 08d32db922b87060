"""Check the arguments of timm models against a list of allowed names.

A checkpoint stores these arguments, and checkpoints may be untrusted. Some arguments make timm read
files or the network: ``checkpoint_path`` (which timm before 1.0.31 unpickles), ``pretrained_cfg``
and ``cache_dir``. Therefore only arguments that define the architecture are allowed. Values are
numbers, lists of numbers, or short words that timm looks up (``act_layer: gelu_tanh``).
"""

import re
from collections.abc import Mapping
from typing import Any

from semisupcon.errors import ConfigError, nearest

ALLOWED = frozenset(
    """
    act_layer aa_layer attn_layer conv_layer mlp_layer norm_layer norm_layer_cl se_layer
    attn_drop_rate drop_block_rate drop_path_rate drop_rate patch_drop_rate pos_drop_rate proj_drop_rate
    attn_ratio avg_down base_width bn_eps bn_momentum bottle_ratio cardinality channel_multiplier conv_bias conv_mlp
    conv_ratio depth depth_multiplier depths dim_out dims down_kernel_size downsample_norm dw_kernel_size embed_dim
    embed_dims expand_ratio feature_location first_dilation fix_stem global_pool group_size groups growth_rate head_dim
    head_hidden_size head_init_scale head_norm_first img_size init_values kernel_size kernel_sizes
    layer_scale_init_value layers ls_init_value mlp_bias mlp_ratio mlp_ratios norm_eps num_blocks num_features
    num_heads output_stride pad_type patch_size pool_size qk_norm qkv_bias reduce_first reduction replace_stem_pool
    se_from_exp se_ratio sr_ratio sr_ratios stem_bias stem_chs stem_kernel_size stem_size stem_stride stem_type
    stem_width use_conv use_grn use_se width width_factor widths window_size zero_init_last
    """.split()  # noqa: SIM905
)
_WORD = re.compile(r"[a-z][a-z0-9_]*")
_MODEL = re.compile(r"[A-Za-z0-9_]+")


def checked_options(model: str, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of a timm model if all of them are allowed.

    Raises:
        ConfigError: if the model name is not a plain word, an option is not allowed, or a value
            could be a path or an address.
    """
    if not isinstance(model, str) or not _MODEL.fullmatch(model):
        raise ConfigError(
            f"timm's models are named by plain words, such as convnext_tiny; got {model!r}."
        )
    if not isinstance(options or {}, Mapping):
        raise ConfigError(f"options is a mapping of names to values, got {options!r}.")
    for name, value in (options or {}).items():
        if name not in ALLOWED:
            raise ConfigError(
                f"The option {name!r} is not passed on to timm.{nearest(str(name), ALLOWED)}\n"
                "Only options that shape the model are; for anything else write an encoder class "
                "of your own (docs/security.md)."
            )
        if not _plain(value):
            raise ConfigError(
                f"The option {name} takes a number, numbers or a lower-case word of timm's, got "
                f"{value!r}."
            )
    return dict(options or {})


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(v) for v in value)
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and _WORD.fullmatch(value) is not None)
    )
