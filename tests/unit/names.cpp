// name_of: every public enum has one, every value a name of its own.

#include <set>

#include "moe/detail/attention.hpp"
#include "moe/eval/language_model.hpp"
#include "moe/eval/prompt.hpp"
#include "moe/eval/task.hpp"
#include "moe/eval/until_known.hpp"
#include "moe/moe.hpp"
#include "support.hpp"

namespace names_test {

namespace {

/// Values 0 to `last`; later ones have no name, so that a new value cannot be forgotten here.
template <class E>
void check_names(E last, bool has_end = true) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(last); ++i) {
    const std::string_view name = name_of(static_cast<E>(i));
    CAPTURE(i);
    CHECK_FALSE(name.empty());
    for (const char c : name) CHECK((c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')));
    CHECK(names.insert(name).second);
  }
  if (has_end) CHECK(name_of(static_cast<E>(static_cast<int>(last) + 1)).empty());
}

}  // namespace

TEST_CASE("every value of every public enum has a name of its own") {
  namespace eval = moe::eval;
  check_names(moe::ErrorCode::internal);
  check_names(moe::AttentionKind::mla);
  check_names(moe::RopeStyle::interleaved);
  check_names(moe::RopeScaling::proportional);
  check_names(moe::QkNorm::projection);
  check_names(moe::Mixer::none);
  check_names(moe::Activation::relu_square);
  check_names(moe::RouterScore::chosen_softmax);
  check_names(moe::GroupScore::top2_sum);
  check_names(moe::MassVariant::plain);
  check_names(moe::MlaForm::absorbed);
  check_names(moe::WeightPart::mtp_projection);
  check_names(moe::Stage::elementwise);
  check_names(moe::Precision::reference);
  check_names(moe::KvType::q8_0);
  check_names(moe::HeadFlops::exclude);
  check_names(moe::Logits::all);
  check_names(moe::SpecialText::plain);
  check_names(moe::Fill::zero);
  check_names(eval::Conversations::singleturn);
  check_names(moe::TextEnds::as_model);
  check_names(moe::SpecialTokens::show);
  check_names(moe::EndTokens::ignore);
  check_names(moe::Candidates::all_rows);
  check_names(moe::CompareBy::per_token);
  check_names(moe::EndReason::cancelled, false);
  check_names(moe::ChatEnd::unfinished);
  check_names(moe::TokenizerUse::none);
  check_names(moe::PackUse::map);
  check_names(moe::DraftKind::mtp);
  check_names(moe::DraftLength::fixed);
  check_names(eval::Verdict::equal);
  check_names(eval::Failure::match_limit);
  check_names(eval::TaskKind::rolling);
  check_names(eval::FewshotRule::random);
  check_names(eval::FilterStep::Function::majority_vote);
  check_names(eval::Metric::bits_per_byte);
  std::set<std::string_view> formats;
  for (const moe::FormatInfo& format : moe::kFormats) CHECK(formats.insert(name_of(format.format)).second);
  CHECK(name_of(static_cast<moe::Format>(4)).empty());  // a type id that GGUF took back
}

TEST_CASE("names are those of result files and command lines") {
  CHECK(name_of(moe::ErrorCode::bad_file) == "bad_file");
  CHECK(name_of(moe::Precision::automatic) == "auto");
  CHECK(name_of(moe::KvType::bf16) == "bf16");
  for (const moe::KvType type : moe::kKvTypes) CHECK(moe::kv_type_named(name_of(type)) == type);
  CHECK(std::size(moe::kKvTypes) == static_cast<std::size_t>(moe::KvType::q8_0) + 1);
  CHECK_FALSE(moe::kv_type_named("f8").has_value());
  CHECK_FALSE(moe::kv_type_named("").has_value());
  CHECK(name_of(moe::Format::q4_k) == "q4_k");
  CHECK(name_of(moe::Stage::quantising) == "quantising");
  static_assert(name_of(moe::ErrorCode::io) == "io");
}

TEST_CASE("no public enum is without a name_of, and none is missing above") {
  const std::string tested = moe_test::read_file(std::filesystem::path(MOE_SOURCE_DIR) / "tests/unit/names.cpp");
  std::size_t seen = 0;
  for (const char* folder : {"include/moe", "include/moe/eval"})
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(MOE_SOURCE_DIR) / folder)) {
      if (entry.path().extension() != ".hpp") continue;
      const std::string text = moe_test::read_file(entry.path());
      for (std::size_t at = text.find("enum class "); at != std::string::npos; at = text.find("enum class ", at + 1)) {
        const std::size_t begin = at + 11;
        const std::string name = text.substr(begin, text.find_first_of(" :{", begin) - begin);
        CAPTURE(name);
        CHECK(text.find("std::string_view name_of(" + name) + text.find("name_of(FilterStep::" + name) !=
              2 * std::string::npos);
        // Formats are listed in kFormats.
        CHECK((name == "Format" || tested.find("::" + name + "::") != std::string::npos));
        ++seen;
      }
    }
  CHECK(seen >= 21);
}

}  // namespace names_test
