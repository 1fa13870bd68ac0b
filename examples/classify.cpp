// Customer messages in five languages to one of four labels: classify MODEL
// All messages are scored in one batch; the common prefix of their prompts is computed once.
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "moe/moe.hpp"

namespace {

const std::vector<std::string> kLabels = {" delivery", " payment", " complaint", " praise"};

constexpr std::array kMessages = {
    "Kde je moje zásilka? Měla přijít včera.",            // Czech
    "Ich wurde zweimal belastet, bitte prüfen Sie das.",  // German
    "Thank you, the new lamp is wonderful!",              // English
    "商品坏了，我要退货。",                               // Chinese
    "El paquete llegó roto y nadie contesta.",            // Spanish
};

std::string prompt_of(const std::string& message) {
  return "Each customer message is about one of: delivery, payment, complaint, praise.\n"
         "Message: My parcel has not arrived.\nTopic: delivery\n"
         "Message: I love your shop.\nTopic: praise\n"
         "Message: " +
         message + "\nTopic:";
}

int refuse(const moe::Error& error) {
  std::fprintf(stderr, "%s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: classify MODEL\n");
    return 2;
  }
  auto model = moe::Model::load(argv[1], {.threads = moe::openmp_pool()});
  if (!model) return refuse(model.error());
  auto scorer = moe::Scorer::create(*model, {.threads = moe::openmp_pool()});
  if (!scorer) return refuse(scorer.error());

  std::vector<moe::ScoreRequest> requests;
  for (const char* message : kMessages) requests.push_back({prompt_of(message), kLabels});
  const auto choices = scorer->choose(requests);
  if (!choices) return refuse(choices.error());
  for (std::size_t i = 0; i < choices->size(); ++i) {
    const moe::Choice& choice = (*choices)[i];
    if (choice.error) return refuse(*choice.error);
    std::printf("%-10s %3.0f %%  %8.4f GFLOPs  %s\n", kLabels[choice.best].c_str() + 1,
                100 * choice.probabilities[choice.best], static_cast<double>(choice.flops) / 1e9, kMessages[i]);
  }
}
