#pragma once
// Shared state of all endpoints.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "moe/serve.hpp"
#include "serve/api/errors.hpp"
#include "serve/api/metrics.hpp"
#include "serve/api/request_table.hpp"
#include "serve/job.hpp"
#include "serve/task_thread.hpp"

namespace moe::inline MOE_ABI::serve::api {

/// Defaults of sampling fields.
using SamplingDefaults = std::map<std::string, double, std::less<>>;

struct Context {
  std::shared_ptr<const Model> model;
  const ServerOptions& options;
  JobQueue& queue;
  Metrics& metrics;
  TaskThread& intake;  ///< bodies, tokens, templates: from the request to its jobs
  TaskThread& output;  ///< from what jobs give to the answer
  std::int64_t context_tokens = 0;
  std::int64_t created = 0;  ///< when the server started, in seconds of Unix time
  std::string fingerprint = {};
  SamplingDefaults sampling_defaults = {};

  const Tokenizer& tokenizer() const { return *model->tokenizer(); }
  const std::string& name() const { return options.names.front(); }
};

/// Log data of a request. Any thread.
struct Notes {
  std::mutex mutex;
  std::int64_t prompt_tokens = -1, reply_tokens = -1;
  double first_token_seconds = -1;
  std::string owner;
  std::vector<std::string> prompts, replies;  // with ServerOptions::log_content
  /// Warns once: a client that counts tokens without BOS reads echoed scores shifted by one.
  bool has_scored_added_bos = false;
};

/// The model that a request names. Errors: 404 with the names there are.
Checked<std::string> model_of(const Fields& fields, const Context& context);

/// Unix time in seconds.
std::int64_t unix_now();

}  // namespace moe::inline MOE_ABI::serve::api
