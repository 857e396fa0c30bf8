"""Names that other toolkits use for the keys of a recipe, for did-you-mean.

Taken from JoeyNMT, OpenNMT-py and Eole, fairseq, Marian, Sockeye, OpusTrainer, Hugging Face and
torch.nn.Transformer.
"""

_FAMILY = "type arch model_type encoder_type decoder_type enc_type"
_CELL = "rnn_type cell_type rnn_cell_type enc_cell dec_cell"
_LAYERS = (
    "num_layers n_layers nlayers enc_layers dec_layers encoder_layers decoder_layers num_encoder_layers "
    "num_decoder_layers num_hidden_layers enc_depth dec_depth depth"
)
_HIDDEN_SIZE = "hid_dim hidden_dim rnn_size dim_rnn rnn_num_hidden encoder_hidden_size decoder_hidden_size"
_HEADS = (
    "num_heads n_heads nhead attention_heads num_attention_heads encoder_attention_heads decoder_attention_heads "
    "transformer_heads transformer_attention_heads"
)
_FFN_SIZE = (
    "ff_size ffn_dim ff_dim pf_dim d_ff dim_feedforward intermediate_size encoder_ffn_dim decoder_ffn_dim "
    "encoder_ffn_embed_dim decoder_ffn_embed_dim transformer_ff transformer_dim_ffn "
    "transformer_feed_forward_num_hidden"
)
_POSITIONS = (
    "position_encoding position_encoding_type positional_encoding positional_embedding_type position_embedding_type "
    "encoder_learned_pos decoder_learned_pos transformer_positional_embedding_type "
    "transformer_train_position_embeddings"
)
_MAX_POSITIONS = "max_position_embeddings max_source_positions max_target_positions n_positions"
_NORM = (
    "layer_norm layer_norm_position norm_first pre_norm normalize_before encoder_normalize_before "
    "decoder_normalize_before transformer_preprocess transformer_postprocess"
)
_NORM_KIND = "norm_type layer_norm_type"
_ACTIVATION = (
    "activation_fn activation_function hidden_act mlp_activation_fn pos_ffn_activation_fn transformer_ffn_activation"
)
_ATTENTION_DROPOUT = "attn_dropout attention_probs_dropout_prob transformer_dropout_attention"
_ACTIVATION_DROPOUT = "relu_dropout ffn_dropout transformer_dropout_ffn"

ALIASES = {
    "data.source_language": "source_lang src_lang src",
    "data.target_language": "target_lang tgt_lang trg_lang tgt trg",
    "data.root": "data_dir path_prefix",
    "data.train.source": "path_src trainpref train_sets train_file train_src source_file",
    "data.train.target": "path_tgt train_tgt train_trg target_file",
    "data.validation.source": "valid dev valid_sets validpref validation_file validation_source",
    "data.validation.target": "validation_target",
    "data.test.source": "testpref test_file",
    "data.hub": "dataset dataset_name",
    "data.hub_config": "dataset_config dataset_config_name",
    "data.filters.min": "min_length min_sent_length src_seq_length_min tgt_seq_length_min",
    "data.filters.max": (
        "max_length max_sent_length max_seq_len max_seq_length src_seq_length tgt_seq_length max_source_length "
        "max_target_length max_ratio length_ratio max_length_ratio max_seq_ratio"
    ),
    "data.filter_preset": "drop_duplicates filter_duplicates",
    "data.augmentation.upper_case": "uppercase",
    "data.augmentation.title_case": "titlecase",
    "data.augmentation.no_final_punctuation": "removeendpunct removeendpunctuation",
    "data.augmentation.merge": "concatenate",
    "data.temperature": "sampling_temperature multilang_sampling_temperature",
    "data.datasets.name": "corpora data_sets",
    "data.datasets.weight": "sampling_weight sampling_weights ratio",
    "data.datasets.tag": (
        "src_prefix source_prefix prefix lang_tok lang_token encoder_langtok src_lang_token trg_tag target_tag"
    ),
    "data.stages.until": "curriculum",
    "data.stages.weights": "mix mixture",
    "tokenizer.vocab_size": (
        "vocab vocabs vocabulary vocabulary_size voc_limit src_voc_limit trg_voc_limit src_vocab_size tgt_vocab_size "
        "dim_vocabs nwordssrc nwordstgt num_words"
    ),
    "tokenizer.algorithm": "spm_model_type tokenizer_type level src_subword_type tgt_subword_type bpe subword_type",
    "tokenizer.character_coverage": "spm_character_coverage sentencepiece_character_coverage",
    "tokenizer.byte_fallback": "spm_byte_fallback",
    "tokenizer.user_symbols": "user_defined_symbols spm_user_defined_symbols spm_protected_symbols",
    "tokenizer.keep_placeholders": "preserve_placeholders protected_patterns",
    "model.architecture": "arch model_type is_decoder_only decoder_only",
    "model.source_attention": "prefix_lm is_causal causal causal_mask full_context_alignment",
    "model.embedding_size": (
        "d_model model_dim embed_dim emb_dim embedding_dim dim_emb word_vec_size src_word_vec_size tgt_word_vec_size "
        "encoder_embed_dim decoder_embed_dim num_embed transformer_model_size"
    ),
    "model.tied_embeddings": (
        "tied_softmax tie_word_embeddings tied_embeddings_all tied_embeddings_src share_embeddings "
        "share_decoder_embeddings share_all_embeddings share_decoder_input_output_embed weight_tying_type"
    ),
    "model.output_bias": "output_omit_bias",
    "model.dropout": "dropout_rate dropout_rnn embed_dropout hidden_dropout hidden_dropout_prob transformer_dropout",
    "model.encoder.family": _FAMILY,
    "model.encoder.cell": _CELL,
    "model.encoder.layers": _LAYERS,
    "model.encoder.hidden_size": _HIDDEN_SIZE,
    "model.encoder.bidirectional": "brnn encoder_bidirectional",
    "model.encoder.reverse_source": "reverse reverse_input rnn_encoder_reverse_input",
    "model.encoder.heads": _HEADS,
    "model.encoder.ffn_size": _FFN_SIZE,
    "model.encoder.positions": _POSITIONS,
    "model.encoder.max_positions": _MAX_POSITIONS,
    "model.encoder.norm": _NORM,
    "model.encoder.norm_kind": _NORM_KIND,
    "model.encoder.activation": _ACTIVATION,
    "model.encoder.attention_bias": "add_qkvbias",
    "model.encoder.attention_dropout": _ATTENTION_DROPOUT,
    "model.encoder.activation_dropout": _ACTIVATION_DROPOUT,
    "model.decoder.family": _FAMILY,
    "model.decoder.cell": _CELL,
    "model.decoder.layers": _LAYERS,
    "model.decoder.hidden_size": _HIDDEN_SIZE,
    "model.decoder.score": "attention attention_type global_attention rnn_attention_type",
    "model.decoder.query": "input_feed input_feeding",
    "model.decoder.attention_size": "attention_dim attn_size rnn_attention_num_hidden",
    "model.decoder.heads": _HEADS,
    "model.decoder.ffn_size": _FFN_SIZE,
    "model.decoder.positions": _POSITIONS,
    "model.decoder.max_positions": _MAX_POSITIONS,
    "model.decoder.norm": _NORM,
    "model.decoder.norm_kind": _NORM_KIND,
    "model.decoder.activation": _ACTIVATION,
    "model.decoder.attention_bias": "add_qkvbias",
    "model.decoder.attention_dropout": _ATTENTION_DROPOUT,
    "model.decoder.activation_dropout": _ACTIVATION_DROPOUT,
    "model.decoder.attention_layer": "alignment_layer transformer_guided_alignment_layer attention_alignment_layer",
    "training.seed": "random_seed",
    "training.stop_after": (
        "epochs max_epoch max_epochs num_epochs num_train_epochs max_num_epochs after after_epochs after_batches "
        "steps max_steps train_steps updates max_update max_updates stop_time_hours max_seconds"
    ),
    "training.batch_tokens": (
        "batch_size max_tokens mini_batch mini_batch_words per_device_train_batch_size train_batch_size max_sentences"
    ),
    "training.micro_batch_tokens": (
        "update_freq accum_count batch_multiplier optimizer_delay update_interval gradient_accumulation_steps "
        "mini_batch_fit"
    ),
    "training.lr": "learning_rate learn_rate initial_learning_rate",
    "training.warmup": "warmup_steps warmup_updates warmup_ratio lr_warmup learning_rate_warmup",
    "training.lr_schedule": (
        "decay decay_method scheduling scheduler lr_scheduler lr_scheduler_type learning_rate_scheduler_type "
        "lr_decay_strategy lr_decay_inv_sqrt"
    ),
    "training.plateau_patience": "lr_patience learning_rate_reduce_num_not_improved",
    "training.betas": "adam_betas adam_beta1 adam_beta2 optimizer_betas optimizer_params",
    "training.clip_norm": "clip_grad_norm max_grad_norm grad_clip gradient_clip_val gradient_clipping_threshold",
    "training.label_smoothing": "label_smoothing_factor",
    "training.word_dropout": "token_drop tokendrop_temperature dropout_src dropout_trg",
    "training.subword_regularization": (
        "sampling_alpha subword_alpha src_subword_alpha tgt_subword_alpha sentencepiece_alpha sentencepiece_alphas"
    ),
    "training.ema": "ema_decay store_ema average_decay exponential_smoothing",
    "training.averaging": "average checkpoint_averaging num_epoch_checkpoints num_update_checkpoints avg_best_k",
    "training.freeze": "freeze_encoder freeze_decoder fixed_param_names fixed_param_strategy",
    "training.precision": "fp16 bf16 amp dtype model_dtype compute_dtype mixed_precision",
    "training.parallel": "fsdp fully_sharded zero ddp_backend parallel_mode distributed_strategy",
    "training.recompute": (
        "gradient_checkpointing activation_checkpointing checkpoint_activations checkpointing use_ckpting"
    ),
    "training.validate_every": (
        "validation_freq valid_freq valid_steps validate_interval validate_interval_updates eval_steps eval_strategy "
        "checkpoint_interval save_interval save_interval_updates save_freq save_steps save_checkpoint_steps"
    ),
    "training.validation_lines": "decode_and_evaluate eval_bleu",
    "training.best_metric": (
        "early_stopping_metric early_stopping_criteria early_stopping_on eval_metric best_checkpoint_metric "
        "metric_for_best_model optimized_metric valid_metrics"
    ),
    "training.patience": "early_stopping early_stopping_patience max_num_checkpoint_not_improved",
    "training.keep_checkpoints": (
        "keep_best_ckpts keep_last_ckpts keep_checkpoint keep_last_epochs keep_last_params keep_interval_updates "
        "save_total_limit"
    ),
    "training.log_every": "logging_freq logging_steps log_interval report_every disp_freq",
    "decoding.beam_size": "beam beams num_beams beam_width",
    "decoding.length_penalty": "alpha beam_alpha lenpen length_penalty_alpha normalize",
    "decoding.stopping": "beam_search_stop early_stopping",
    "decoding.min_ratio": "min_len min_length min_output_length min_new_tokens",
    "decoding.max_ratio": (
        "max_len max_length max_len_a max_len_b max_output_length max_new_tokens max_generation_length "
        "max_length_factor max_output_length_num_stds"
    ),
    "decoding.no_repeat_ngram": "no_repeat_ngram_size block_ngram_repeat",
    "decoding.sample": "do_sample sampling random_sampling output_sampling",
    "decoding.temperature": "softmax_temperature random_sampling_temp",
    "decoding.top_k": "topk sampling_topk random_sampling_topk",
    "decoding.top_p": "topp nucleus sampling_topp random_sampling_topp",
}  # recipe key: its names elsewhere


def keys_called(name: str) -> list[str]:
    """Return the recipe keys that another toolkit calls `name`, as `max_tokens` or `max-tokens`."""
    name = name.lower().replace("-", "_")
    return [key for key, names in ALIASES.items() if name in names.split()]
