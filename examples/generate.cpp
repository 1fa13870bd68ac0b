// Continues a text, token by token, always taking the most likely one.
//   generate MODEL [PROMPT [TOKENS]]       MODEL: a .gguf file or a Hugging Face directory

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "moe/moe.hpp"

namespace {

moe::Result<void> generate(const std::string& path, const std::string& prompt, int count) {
  moe::LoadOptions load;
  load.threads = moe::openmp_pool();  // or your own pool: ParallelFor is one function pointer
  load.tokenizer_optional = false;
  auto model = moe::Model::load(path, load);
  if (!model) return moe::forward(model);
  const moe::Tokenizer& tokenizer = *(*model)->tokenizer();

  auto tokens = tokenizer.encode(prompt, tokenizer.adds_bos());
  if (!tokens) return moe::forward(tokens);

  moe::SessionOptions options;
  options.threads = load.threads;
  options.max_tokens = static_cast<std::int64_t>(tokens->size()) + count;
  auto session = moe::Session::create(*model, options);
  if (!session) return moe::forward(session);
  auto sequence = (*session)->open();
  if (!sequence) return moe::forward(sequence);

  std::printf("%s", prompt.c_str());
  for (int i = 0; i < count; ++i) {
    // The first step runs the whole prompt, each later one a single token; logits of the last position only.
    const moe::BatchItem item{*sequence, *tokens, moe::Logits::last};
    auto out = (*session)->step({&item, 1});
    if (!out) return moe::forward(out);
    // Some models pad their vocabulary with rows that no token has.
    const auto known = static_cast<std::size_t>(std::min(tokenizer.vocab_size(), out->vocab_size));
    const auto logits = out->row(0).first(known);
    const auto next = static_cast<moe::TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (tokenizer.eos() == next) break;
    tokens->assign(1, next);
    auto text = tokenizer.decode(*tokens);
    if (!text) return moe::forward(text);
    std::printf("%s", text->c_str());
    std::fflush(stdout);
  }
  std::printf("\n%.3f GFLOPs\n", static_cast<double>((*session)->executed().total()) / 1e9);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4) {
    std::fprintf(stderr, "usage: generate MODEL [PROMPT [TOKENS]]\n");
    return 2;
  }
  const std::string prompt = argc > 2 ? argv[2] : "The capital of France is";
  const int count = argc > 3 ? std::clamp(std::atoi(argv[3]), 1, 4096) : 16;
  if (auto done = generate(argv[1], prompt, count); !done) {
    std::fprintf(stderr, "generate: %s\n", done.error().message.c_str());
    return 1;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {  // a full disk must not look like success
    std::fprintf(stderr, "generate: cannot write the output\n");
    return 1;
  }
}
