#pragma once
// Options of a program that writes text: who proposes tokens that the model then checks.

#include <memory>
#include <string>

#include "moe/generate.hpp"
#include "tools/common/numbers.hpp"
#include "tools/common/program.hpp"

namespace cli {

struct DraftArguments {
  std::string source;  // ngram, mtp or a model's path; empty: no drafts
  moe::DraftOptions options;
  std::shared_ptr<const moe::Model> model;  // with a path, once it is loaded

  bool is_mtp() const { return source == "mtp"; }
  bool is_model() const { return !source.empty() && source != "ngram" && !is_mtp(); }
};

/// `draft` must live until the command line is parsed.
inline void add_draft_options(CLI::App& app, DraftArguments& draft) {
  auto* source =
      add_path(app, "--draft", draft.source,
               "who proposes tokens, for speed: ngram (what followed the last tokens before), mtp (the model's "
               "own multi-token-prediction layer) or a smaller model of the same vocabulary; the reply is the "
               "same")
          ->type_name("ngram|mtp|MODEL");
  add_number(app, "--draft-tokens", draft.options.tokens, moe::Bounds<std::int64_t>{0, moe::kMostDraftTokens},
             "most tokens proposed at a time (8)")
      ->needs(source);
}

/// Loads the draft's model if there is one, with these options.
inline moe::Result<void> load_draft(DraftArguments& draft, const moe::LoadOptions& options) {
  if (draft.source.empty()) return {};
  draft.options.kind = draft.source == "ngram" ? moe::DraftKind::ngram
                       : draft.is_mtp()        ? moe::DraftKind::mtp
                                               : moe::DraftKind::model;
  if (draft.options.kind != moe::DraftKind::model) return {};
  auto model = moe::Model::load(draft.source, options);
  if (!model) return moe::fail(model.error().code, "--draft: " + model.error().message);
  draft.model = std::move(*model);
  return {};
}

/// Gives the generator its draft model or MTP layer. Its session is like the generator's own.
inline moe::Result<void> use_draft(const DraftArguments& draft, moe::Generator& generator) {
  if (draft.model == nullptr && !draft.is_mtp()) return {};
  moe::SessionOptions options = generator.session().options();
  options.record_routing = options.record_hidden = options.record_chosen_keys = options.record_states = false;
  auto used = draft.is_mtp() ? generator.use_mtp(options) : generator.use_draft_model(draft.model, options);
  if (!used) return moe::fail(used.error().code, "--draft: " + used.error().message);
  return {};
}

}  // namespace cli
