#include "moe/memory_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "model/expert_cache.hpp"
#include "model/kv_cache.hpp"
#include "model/logit_rows.hpp"
#include "model/mtp_model.hpp"
#include "model/sequence_states.hpp"
#include "model/workspace.hpp"
#include "support/bytes_in_words.hpp"
#include "support/memory_limit.hpp"

namespace moe::inline MOE_ABI {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kLongestQuestion = 4096;  // tokens of cache beside those of a pass

class Planning {
 public:
  /// Errors: bad_argument, bad_config.
  static Result<Planning> create(const ModelInfo& info, const MemoryRequest& request, std::int64_t limit) {
    constexpr std::int64_t kAny = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t kTokens = std::int64_t{1} << 40, kBytes = std::int64_t{1} << 60;  // sums fit 64 bits
    const SessionOptions& s = request.session;
    struct Range {
      std::string_view name;
      std::int64_t value, least, most;
    };
    for (const Range& r :
         {Range{"chunk_tokens", s.chunk_tokens, 1, kMaxChunkTokens},
          Range{"worker_count", s.threads.worker_count, 1, kAny}, Range{"limit", request.limit, 0, kAny},
          Range{"max_tokens", s.max_tokens, 0, kTokens}, Range{"reserved_bytes", request.reserved_bytes, 0, kBytes}})
      if (r.value < r.least || r.value > r.most)
        return fail(ErrorCode::bad_argument,
                    fmt::format("{} is {}, expected {} {}", r.name, r.value, r.least,
                                r.most == kAny ? std::string("or more") : fmt::format("to {}", r.most)));
    if (info.packed.expert.empty())
      return fail(ErrorCode::bad_argument, "the sizes of the weights are not known: expected a model with its weights");
    const bool is_as_trained = request.experts == ExpertOptions();  // with_experts() refuses dense models
    const auto config = is_as_trained ? info.config : with_experts(info.config, request.experts);
    if (!config) return forward(config);
    const auto mtp = request.mtp ? mtp_config(info.config, info.mtp_parameters) : ModelConfig();
    if (!mtp) return forward(mtp);
    return Planning(info, *config, request, *mtp, limit);
  }

  Result<MemoryPlan> run() const {
    const MemoryPlan plan = resident();
    if (plan.total_bytes() <= limit_) return with_more_states(plan);
    if (all_experts_ == 0 || request_.without_pack) return too_small();
    std::optional<MemoryPlan> best;
    for (const std::int64_t tokens : steps()) {
      const MemoryPlan streamed = at(tokens, true);
      if (streamed.total_bytes() > limit_) continue;
      if (!best || is_better(streamed, *best)) best = streamed;
    }
    if (best) return *best;
    return too_small();
  }

  LeastMemory least() const {
    LeastMemory least;
    least.resident = least.streamed = resident().total_bytes();
    if (all_experts_ == 0) return least;
    const MemoryPlan plan = at(steps().front(), true);
    least.streamed =
        std::min(least.resident, plan.total_bytes() - plan.expert_bytes + ExpertCache::least_bytes(layers_));
    return least;
  }

 private:
  // `config`: with the experts that are asked for; `mtp`: of the MTP layer, where it is asked for.
  Planning(const ModelInfo& info, const ModelConfig& config, const MemoryRequest& request, const ModelConfig& mtp,
           std::int64_t limit)
      : info_(info), config_(config), request_(request), mtp_(mtp), limit_(limit), sizes_(info.packed) {
    for (const std::int64_t bytes : sizes_.expert) {
      layers_.push_back({bytes > 0 ? config.router.expert_count : 0, bytes});
      all_experts_ += layers_.back().experts * bytes;
    }
  }

  MemoryPlan resident() const { return at(std::min<std::int64_t>(512, request_.session.chunk_tokens), false); }

  // Tokens of a step that may be tried.
  std::vector<std::int64_t> steps() const {
    const std::int64_t most = request_.session.chunk_tokens;
    std::vector<std::int64_t> steps;
    for (std::int64_t tokens = 32; tokens <= most; tokens *= 2) steps.push_back(tokens);
    if (steps.empty() || steps.back() < most) steps.push_back(most);
    return steps;
  }

  std::int64_t cache_tokens(std::int64_t step) const {
    const std::int64_t asked = request_.session.max_tokens, context = config_.max_position;
    if (request_.whole_passes) return std::max(2 * step + std::min(kLongestQuestion, context), asked);
    return std::max(asked > 0 ? asked : context, step);
  }

  // With what is left of the limit for experts.
  MemoryPlan at(std::int64_t tokens, bool streams) const {
    const ModelConfig& c = config_;
    MemoryPlan plan;
    plan.limit = limit_;
    plan.streams_experts = streams;
    plan.chunk_tokens = tokens;
    plan.all_expert_bytes = all_experts_;
    plan.weight_bytes = sizes_.always + (streams ? 0 : all_experts_);
    plan.cache_tokens = cache_tokens(tokens);
    const std::int64_t pages = (plan.cache_tokens + kPageTokens - 1) / kPageTokens;
    plan.state_bytes = state_bytes(tokens / kPageTokens);
    plan.cache_bytes = pages * PageLayout(c, request_.session.kv).page_bytes + plan.state_bytes;
    plan.scratch_bytes = scratch_bytes(c, {tokens, request_.session.threads.worker_count, streams, plan.cache_tokens});
    const std::int64_t row = c.vocab_size * static_cast<std::int64_t>(sizeof(float));
    const std::int64_t logits = request_.whole_passes ? std::max(kLogitBytes, row) : row;
    // Two buffers of logits; what each thread draws in (Sampler); the program; texts and merges of the vocabulary.
    const std::int64_t threads = std::max(request_.session.threads.worker_count, 1);
    plan.other_bytes =
        2 * logits + 20 * c.vocab_size * threads + kProgramBytes + 400 * c.vocab_size + request_.reserved_bytes;
    if (request_.mtp) add_mtp(plan, pages);
    if (!streams) return plan;
    const std::int64_t left = limit_ - plan.total_bytes();
    plan.expert_bytes = std::max(ExpertCache::least_bytes(layers_), std::min(left, ExpertCache::most_bytes(layers_)));
    for (const auto& size : ExpertCache::divide(layers_, plan.expert_bytes))
      plan.kept_expert_bytes += (size.slots - size.transient_slots) * size.bundle_bytes;
    return plan;
  }

  // At least what a session has without being asked; in whole passes, room for a step of so many sequences.
  std::int64_t state_bytes(std::int64_t sequences) const {
    const detail::StateLayout layout(config_);
    const std::int64_t own = SequenceStates::most_bytes(layout, request_.session);
    if (!request_.whole_passes || request_.session.state_bytes > 0) return own;
    return std::max(own, sequences * layout.bytes());
  }

  // Sequences of a few tokens each fill a step only if there are states for many.
  MemoryPlan with_more_states(MemoryPlan plan) const {
    const std::int64_t more = state_bytes(plan.chunk_tokens / detail::kTokensPerState) - plan.state_bytes;
    const std::int64_t taken = std::min(more, limit_ - plan.total_bytes());
    plan.state_bytes += taken, plan.cache_bytes += taken;
    return plan;
  }

  // Chunks of recorded states that exist at once: two for a step of the model, which has fewer tokens than two chunks;
  // three for a prompt's part (held by its reply, given to the MTP layer, recorded by it); one for what replies hold.
  static constexpr std::int64_t kChunksOfStates = 6;

  // The MTP layer is always in memory. Its session has the size of the model's own.
  void add_mtp(MemoryPlan& plan, std::int64_t pages) const {
    plan.weight_bytes += info_.mtp_bytes;
    plan.cache_bytes += pages * PageLayout(mtp_, request_.session.kv).page_bytes;
    plan.scratch_bytes +=
        scratch_bytes(mtp_, {plan.chunk_tokens, request_.session.threads.worker_count, false, plan.cache_tokens});
    plan.scratch_bytes +=
        kChunksOfStates * plan.chunk_tokens * mtp_.hidden_size * static_cast<std::int64_t>(sizeof(float));
    plan.other_bytes += 2 * mtp_.vocab_size * static_cast<std::int64_t>(sizeof(float));
  }

  // Whether to prefer `a`, which has the larger step: it has no more bytes to read per token in passes that need every
  // expert. For replies, the largest step that fits.
  bool is_better(const MemoryPlan& a, const MemoryPlan& b) const {
    if (!request_.whole_passes) return a.chunk_tokens > b.chunk_tokens;
    return static_cast<double>(a.pass_bytes()) * static_cast<double>(b.chunk_tokens) <=
           static_cast<double>(b.pass_bytes()) * static_cast<double>(a.chunk_tokens);
  }

  tl::unexpected<Error> too_small() const {
    const LeastMemory needed = least();
    std::string otherwise;
    if (all_experts_ == 0)
      otherwise = ": the model has no experts that could stay in a file";
    else if (request_.without_pack)
      otherwise = fmt::format(", or {} if its experts stay in a packed file", with_words(needed.streamed));
    return fail(
        ErrorCode::out_of_memory,
        fmt::format("{} bytes ({}) of memory are allowed, expected at least {}{}", limit_, bytes_in_words(limit_),
                    with_words(request_.without_pack ? needed.resident : needed.streamed), otherwise));
  }

  static std::string with_words(std::int64_t bytes) { return fmt::format("{} ({})", bytes, bytes_in_words(bytes)); }

  const ModelInfo& info_;
  ModelConfig config_;
  const MemoryRequest& request_;
  ModelConfig mtp_;
  std::int64_t limit_;
  const PackedSizes& sizes_;
  std::vector<ExpertCache::Shape> layers_;
  std::int64_t all_experts_ = 0;
};

}  // namespace

Result<MemoryPlan> plan_memory(const ModelInfo& info, const MemoryRequest& request) {
  std::int64_t limit = request.limit;
  if (limit == 0) {
    const auto known = default_memory_limit();
    if (!known) return fail(ErrorCode::unsupported, "this system does not tell how much memory is available");
    limit = *known;
  }
  const auto planning = Planning::create(info, request, limit);
  if (!planning) return forward(planning);
  return planning->run();
}

Result<LeastMemory> least_memory(const ModelInfo& info, const MemoryRequest& request) {
  const auto planning = Planning::create(info, request, 1);
  if (!planning) return forward(planning);
  return planning->least();
}

std::optional<std::int64_t> default_memory_limit() {
  std::optional<std::int64_t> least = available_bytes();
  const auto group = cgroup_memory_limit();
  if (group && (!least || *group < *least)) least = group;
  if (!least) return std::nullopt;
  return *least / 10 * 8;
}

}  // namespace moe::inline MOE_ABI
