#include <fmt/format.h>

#include "c/buffers.hpp"
#include "c/handles.hpp"
#include "c/model_info.hpp"
#include "c/status.hpp"
#include "c/structs.hpp"
#include "c/work.hpp"

using moe::ErrorCode;
using moe::Result;

namespace {

Result<moe::LoadOptions> load_options(const moe_load_options* given) {
  const auto options = moe::c::read_struct(given, "moe_load_options", moe_load_options{});
  if (!options) return moe::forward(options);
  moe::LoadOptions out;
  const auto use = moe::c::read_choice(options->tokenizer, moe::TokenizerUse::none, "moe_load_options.tokenizer");
  if (!use) return moe::forward(use);
  out.tokenizer = *use;
  if (options->pool != nullptr) out.threads = options->pool->threads;
  if (options->on_progress != nullptr)
    out.on_progress = [call = options->on_progress, user = options->user](moe::Progress p) {
      call(user, p.done, p.total);
    };
  if (options->cancelled != nullptr)
    out.cancelled = [call = options->cancelled, user = options->user] { return call(user) != 0; };
  return out;
}

void let_go(moe_model* model) {
  if (model != nullptr && model->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete model;
}

}  // namespace

void moe_load_options_init(moe_load_options* options, size_t struct_size) {
  moe::c::init_struct(options, struct_size, moe_load_options{});
}

moe_status moe_model_load(const char* path, int64_t path_length, const moe_load_options* options, moe_model** model,
                          moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    const auto name = moe::c::read_path(path, path_length);
    if (!name) return moe::forward(name);
    const auto load = load_options(options);
    if (!load) return moe::forward(load);
    auto handle = std::make_unique<moe_model>();
    auto loaded = moe::Model::load(*name, *load);
    if (!loaded) return moe::forward(loaded);
    handle->model = std::move(*loaded);
    *model = handle.release();
    return {};
  });
}

void moe_model_retain(moe_model* model) {
  if (model != nullptr) model->owners.fetch_add(1, std::memory_order_relaxed);
}
void moe_model_release(moe_model* model) { let_go(model); }

moe_status moe_model_with_top_k(const moe_model* model, int64_t top_k, moe_model** out, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    if (out == nullptr) return moe::c::null_argument("out");
    auto handle = std::make_unique<moe_model>();
    auto other = model->model->with_top_k(top_k);
    if (!other) return moe::forward(other);
    handle->model = std::move(*other);
    *out = handle.release();
    return {};
  });
}

moe_status moe_model_info_json(const moe_model* model, char* json, int64_t capacity, int64_t* length,
                               moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    const auto out = moe::c::TextOut::create(json, capacity, length, "json");
    if (!out) return moe::forward(out);
    return out->write(moe::c::info_json(model->model->info(), model->model.get()));
  });
}

moe_status moe_inspect_json(const char* path, int64_t path_length, char* json, int64_t capacity, int64_t* length,
                            moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    const auto out = moe::c::TextOut::create(json, capacity, length, "json");
    if (!out) return moe::forward(out);
    const auto name = moe::c::read_path(path, path_length);
    if (!name) return moe::forward(name);
    const auto info = moe::Model::inspect(*name);
    if (!info) return moe::forward(info);
    return out->write(moe::c::info_json(*info, nullptr));
  });
}

moe_status moe_model_dims(const moe_model* model, moe_dims* dims, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    const auto out = moe::c::StructOut<moe_dims>::create(dims, "moe_dims");
    if (!out) return moe::forward(out);
    const moe::Model& m = *model->model;
    const moe::ModelConfig& c = m.config();
    moe_dims d{};
    d.has_tokenizer = m.tokenizer() != nullptr;
    d.layer_count = c.layer_count;
    d.hidden_size = c.hidden_size;
    d.vocab_size = c.vocab_size;
    d.token_count = d.has_tokenizer ? std::min(m.tokenizer()->vocab_size(), c.vocab_size) : c.vocab_size;
    d.max_position = c.max_position;
    d.expert_count = c.router.expert_count;
    d.experts_per_token = c.router.top_k;
    d.total_parameters = m.info().total_parameters;
    d.weight_bytes = m.info().weight_bytes;
    d.touched_bytes = m.info().touched_bytes;
    d.resident_bytes = m.resident_bytes();
    out->write(d);
    return {};
  });
}

moe_status moe_model_flops(const moe_model* model, int64_t cached_tokens, int64_t new_tokens, int64_t logit_rows,
                           moe_work* work, moe_error* error) {
  return moe::c::enter(error, [&]() -> Result<void> {
    if (model == nullptr) return moe::c::null_argument("model");
    const auto out = moe::c::StructOut<moe_work>::create(work, "moe_work");
    if (!out) return moe::forward(out);
    const moe::ModelConfig& c = model->model->config();
    const bool fits = cached_tokens >= 0 && new_tokens >= 0 && cached_tokens <= c.max_position &&
                      new_tokens <= c.max_position - cached_tokens && logit_rows >= 0 && logit_rows <= new_tokens;
    if (!fits)
      return moe::fail(
          ErrorCode::bad_argument,
          fmt::format("{} cached tokens, {} new ones and {} rows of logits, expected at most {} tokens and "
                      "as many rows as new ones",
                      cached_tokens, new_tokens, logit_rows, c.max_position));
    out->write(moe::c::work_of(moe::forward_work(c, cached_tokens, new_tokens, logit_rows, moe::MlaForm::absorbed)));
    return {};
  });
}
