// A conversation, a message per line of standard input: chat MODEL
#include <cstdio>
#include <iostream>
#include <string>

#include "moe/moe.hpp"

int main(int argc, char** argv) {
  const auto refuse = [](const moe::Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    return 1;
  };
  if (argc != 2) {
    std::fprintf(stderr, "usage: chat MODEL\n");
    return 2;
  }
  auto model = moe::Model::load(argv[1], {.threads = moe::openmp_pool()});
  if (!model) return refuse(model.error());
  auto generator = moe::Generator::create(*model, {.threads = moe::openmp_pool()});
  if (!generator) return refuse(generator.error());

  moe::GenerateOptions options{.max_tokens = 200};
  options.on_piece = [](const moe::Piece& piece) { std::cout << piece.text << std::flush; };
  moe::Chat chat;
  for (std::string line; std::getline(std::cin, line);) {
    chat.messages.push_back({.role = "user", .content = line});
    const auto reply = generator->generate(chat, options);  // computes only the new part of the conversation
    if (!reply) return refuse(reply.error());
    std::cout << "\n";
    std::fprintf(stderr, "[%lld tokens, %lld of %lld before them reused, %.3f GFLOPs]\n",
                 static_cast<long long>(reply->tokens.size()), static_cast<long long>(reply->reused_tokens),
                 static_cast<long long>(reply->prompt_tokens), static_cast<double>(reply->flops) / 1e9);
    chat.messages.push_back({.role = "assistant", .content = reply->text});
  }
}
