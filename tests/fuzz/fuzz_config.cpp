// libFuzzer entry: any byte string as a config.json, by itself: which family it is of, its configuration, and all that
// follows from that without weights.

#include "arch/family.hpp"
#include "entry.hpp"
#include "exercise_model.hpp"
#include "memory_directory.hpp"

void moe_test::try_input(std::string_view input) {
  static MemoryDirectory directory({"config.json"});
  directory.assign(0, input);
  const auto model = moe::arch::recognise_hf_config(input);
  const auto info = moe::Model::inspect(directory.path());
  if (model.has_value() != info.has_value()) complain("the text is judged in one way and its directory in another");
  if (!model) {
    check(model.error());
    check(info.error());
    if (const auto outline = moe::outline(directory.path()); !outline) check(outline.error());
    return;
  }
  if (model->config != info->config) complain("the text and its directory differ");
  for (const std::string& note : model->notes) check(complain_about({moe::ErrorCode::bad_config, note}));
  check(exercise_model(directory.path()));
}
