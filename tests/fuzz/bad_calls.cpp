// Numbers from a caller: ids, sequences, lengths and sizes outside their range, on a model that is fine.

#include <limits>

#include "bad_input.hpp"
#include "moe/model.hpp"
#include "moe/session.hpp"
#include "support.hpp"

namespace {

using namespace moe_test;
using moe::ErrorCode;
namespace fs = std::filesystem;

/// Any small model that loads.
std::shared_ptr<const moe::Model> some_model() {
  const fs::path golden = reference_dir("MOE_GOLDEN_DIR", "../shared/golden", "golden");
  if (!golden.empty())
    for (const auto& entry : fs::directory_iterator(golden))
      if (fs::exists(entry.path() / "config.json"))
        if (auto model = moe::Model::load(entry.path(), {.tokenizer = moe::TokenizerUse::optional}); model.has_value())
          return *model;
  return nullptr;
}

moe::SessionOptions sized(std::int64_t max_tokens, std::int64_t chunk_tokens = 512) {
  moe::SessionOptions options;
  options.max_tokens = max_tokens;
  options.chunk_tokens = chunk_tokens;
  return options;
}

moe::Result<moe::StepOutput> step(moe::Session& session, moe::Sequence sequence,
                                  const std::vector<moe::TokenId>& tokens) {
  const moe::BatchItem item{sequence, tokens, moe::Logits::last};
  return session.step({&item, 1});
}

}  // namespace

TEST_CASE("calls outside their range are errors and change nothing") {
  const auto model = some_model();
  if (model == nullptr) return report_skip("bad calls", "no reference directory of a known family");
  auto made = moe::Session::create(model, sized(128));
  REQUIRE(made.has_value());
  moe::Session& session = **made;
  const moe::Sequence good = session.open().value();
  REQUIRE(step(session, good, {0, 1, 2}).has_value());
  const auto V = static_cast<moe::TokenId>(model->config().vocab_size);
  constexpr auto kMin = std::numeric_limits<std::int32_t>::min(), kMax = std::numeric_limits<std::int32_t>::max();

  for (const moe::TokenId id : {-1, V, kMin, kMax}) {
    CAPTURE(id);
    check_refused(step(session, good, {0, id}), ErrorCode::bad_argument, {std::to_string(id)});
  }
  for (const moe::Sequence sequence : {-1, 1, 99, kMin, kMax}) {
    CAPTURE(sequence);
    check_refused(step(session, sequence, {0}), ErrorCode::bad_argument, {std::to_string(sequence)});
    check_refused(session.fork(sequence), ErrorCode::bad_argument, {std::to_string(sequence)});
    check_refused(session.rewind(sequence, 0), ErrorCode::bad_argument, {std::to_string(sequence)});
    check_refused(session.close(sequence), ErrorCode::bad_argument, {std::to_string(sequence)});
    check_refused(session.length(sequence), ErrorCode::bad_argument, {std::to_string(sequence)});
  }
  for (const std::int64_t length : {std::int64_t{-1}, std::int64_t{4}, std::numeric_limits<std::int64_t>::min(),
                                    std::numeric_limits<std::int64_t>::max()}) {
    CAPTURE(length);
    check_refused(session.rewind(good, length), ErrorCode::bad_argument, {std::to_string(length)});
  }
  const std::vector<moe::TokenId> tokens = {0};
  const moe::BatchItem twice[] = {{good, tokens, moe::Logits::last}, {good, tokens, moe::Logits::last}};
  check_refused(session.step(twice), ErrorCode::bad_argument, {std::to_string(good)});
  const auto too_long = step(session, good, std::vector<moe::TokenId>(100'000, 0));
  REQUIRE_FALSE(too_long.has_value());
  CHECK((too_long.error().code == ErrorCode::out_of_memory || too_long.error().code == ErrorCode::bad_argument));
  CHECK(session.length(good).value() == 3);
  CHECK(step(session, good, {3}).has_value());
  REQUIRE(session.close(good).has_value());
  check_refused(step(session, good, {0}), ErrorCode::bad_argument, {});
  check_refused(session.close(good), ErrorCode::bad_argument, {});
}

TEST_CASE("session options outside their range") {
  const auto model = some_model();
  if (model == nullptr) return report_skip("bad session options", "no reference directory of a known family");
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max(), kMin = std::numeric_limits<std::int64_t>::min();
  const auto refused = [&](const moe::SessionOptions& options) {
    const auto made = moe::Session::create(model, options);
    if (made.has_value()) return false;
    CAPTURE(made.error().message);
    CHECK(is_one_printable_line(made.error().message));
    return made.error().code == ErrorCode::bad_argument || made.error().code == ErrorCode::out_of_memory ||
           made.error().code == ErrorCode::bad_config;
  };
  CHECK(refused(sized(-1)));
  CHECK(refused(sized(kMin)));
  CHECK(refused(sized(16, 0)));
  CHECK(refused(sized(16, -512)));
  CHECK(refused(sized(16, kMin)));
  CHECK(refused(sized(kMax)));
  CHECK(refused(sized(kMax / 2)));
  CHECK(refused(sized(16, kMax)));
  moe::SessionOptions unknown = sized(16);
  unknown.precision = static_cast<moe::Precision>(77);
  CHECK(refused(unknown));
  unknown = sized(16);
  unknown.kv = static_cast<moe::KvType>(77);
  CHECK(refused(unknown));
  CHECK_FALSE(moe::Session::create(nullptr, {}).has_value());
  if (model->config().router.expert_count > 0)
    for (const std::int64_t top_k :
         {std::int64_t{0}, std::int64_t{-1}, model->config().router.expert_count + 1, kMax, kMin}) {
      CAPTURE(top_k);
      check_refused(model->with_top_k(top_k), ErrorCode::bad_config, {"top_k"});
    }
}
