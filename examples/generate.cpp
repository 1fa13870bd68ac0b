// Continues a text, token by token, always taking the most likely one.
//   generate MODEL [PROMPT [TOKENS]]       MODEL: a .gguf file or a Hugging Face directory

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string>

#include "moe/moe.hpp"

namespace {

moe::Result<void> generate(const std::string& path, const std::string& prompt, int count) {
  moe::LoadOptions load;
  load.threads = moe::openmp_pool();  // or your own pool: ParallelFor is one function pointer
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
    const auto logits = out->row(0);
    const auto next = static_cast<moe::TokenId>(std::max_element(logits.begin(), logits.end()) - logits.begin());
    if (tokenizer.is_stop(next)) break;
    tokens->assign(1, next);
    auto text = tokenizer.decode_more(*tokens);
    if (!text) return moe::forward(text);
    std::printf("%s", text->c_str());
    std::fflush(stdout);
  }
  std::printf("\n%.3f GFLOPs\n", static_cast<double>((*session)->executed().total()) / 1e9);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string prompt = argc > 2 ? argv[2] : "The capital of France is";
  const std::string tokens = argc > 3 ? argv[3] : "16";
  int count = 0;
  const auto [stop, error] = std::from_chars(tokens.data(), tokens.data() + tokens.size(), count);
  const bool whole = error == std::errc{} && stop == tokens.data() + tokens.size();
  if (argc < 2 || argc > 4 || !whole || count < 1 || count > 4096) {
    std::fprintf(stderr, "usage: generate MODEL [PROMPT [TOKENS]], TOKENS from 1 to 4096\n");
    return 2;
  }
  if (auto done = generate(argv[1], prompt, count); !done) {
    std::fprintf(stderr, "generate: %s\n", done.error().message.c_str());
    return 1;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {  // a full disk must not look like success
    std::fprintf(stderr, "generate: cannot write the output\n");
    return 1;
  }
}
