// Continues a text greedily, and streams it.
//   generate MODEL [PROMPT [TOKENS]]       MODEL: a .gguf file or a Hugging Face directory

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
  moe::SessionOptions session;
  session.threads = load.threads;
  auto generator = moe::Generator::create(*model, session);
  if (!generator) return moe::forward(generator);

  moe::GenerateOptions options;
  options.max_tokens = count;
  options.on_piece = [](const moe::Piece& piece) {
    std::fwrite(piece.text.data(), 1, piece.text.size(), stdout);
    std::fflush(stdout);
  };
  std::printf("%s", prompt.c_str());
  auto reply = generator->generate(prompt, options);
  if (!reply) return moe::forward(reply);
  std::printf("\n%zu tokens, %.3f GFLOPs, %.1f tokens/s\n", reply->tokens.size(),
              static_cast<double>(reply->flops) / 1e9,
              static_cast<double>(reply->tokens.size()) / (reply->prompt_seconds + reply->reply_seconds));
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
