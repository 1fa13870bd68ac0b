// consumer MODEL: prints facts about a model, and the most likely token after "Hello".
#include <moe/moe.hpp>

#include <algorithm>
#include <cstdio>

int main(int argc, char** argv) {
  auto model = moe::Model::load(argc > 1 ? argv[1] : "model.gguf");
  if (!model) return std::fprintf(stderr, "%s\n", model.error().message.c_str()), 1;
  auto session = moe::Session::create(*model, {.max_tokens = 64}).value();
  auto tokens = (*model)->tokenizer()->encode("Hello").value();
  const moe::BatchItem item{session->open().value(), tokens};
  const auto out = session->step({&item, 1}).value();  // holds the logits
  const auto logits = out.row(0);
  const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
  std::printf("%s: token %td follows\n", (*model)->config().family.c_str(), best);
}
