// Runs a fuzz target without a fuzzer: over every input of a corpus and over changed copies of
// them, which are the same in every run.
//
//   PROGRAM [--changed N] FILE-OR-FOLDER…
//
// When an input breaks the target, it is written to the file crash-input in the working folder.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"
#include "tests/support/dice.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr const char* crash_file = "crash-input";
const Bytes* current = nullptr;

// Only calls that a signal may interrupt anything with.
void keep_input(int signal) {
  const int file = open(crash_file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file >= 0 && current != nullptr) {
    [[maybe_unused]] const ssize_t written = write(file, current->data(), current->size());
    close(file);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const Bytes& input) {
  current = &input;
  LLVMFuzzerTestOneInput(input.data(), input.size());
}

std::vector<Bytes> inputs_of(const std::string& path) {
  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) {
      files.push_back(entry.path());
    }
    std::ranges::sort(files);
  } else {
    files.push_back(path);
  }
  std::vector<Bytes> inputs;
  for (const auto& file : files) {
    std::ifstream stream(file, std::ios::binary);
    if (!stream) throw std::runtime_error("cannot read " + file.string());
    inputs.emplace_back(std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>());
  }
  return inputs;
}

// Some bytes are other ones, doubled, gone, or from another input.
Bytes changed(Bytes input, const std::vector<Bytes>& all, swnat::test::Dice& dice) {
  const auto place = [&] {
    return static_cast<std::ptrdiff_t>(dice.below(static_cast<std::uint32_t>(input.size())));
  };
  for (std::uint32_t changes = 1 + dice.below(6); changes > 0 && !input.empty(); --changes) {
    switch (dice.below(6)) {
      case 0:
        input[static_cast<std::size_t>(place())] = static_cast<std::uint8_t>(dice());
        break;
      case 1:
        input[static_cast<std::size_t>(place())] ^= static_cast<std::uint8_t>(1U << dice.below(8));
        break;
      case 2:
        input.insert(input.begin() + place(), static_cast<std::uint8_t>(dice()));
        break;
      case 3:
        input.erase(input.begin() + place());
        break;
      case 4: {  // a part of it moves
        const auto from = input.begin() + place();
        const auto count = std::min<std::ptrdiff_t>(input.end() - from, 1 + dice.below(16));
        const Bytes part(from, from + count);
        input.insert(input.begin() + place(), part.begin(), part.end());
        break;
      }
      default: {  // it goes on as another one does
        const Bytes& other = all[dice.below(static_cast<std::uint32_t>(all.size()))];
        if (other.empty()) break;
        const auto from = other.begin() + dice.below(static_cast<std::uint32_t>(other.size()));
        input.resize(static_cast<std::size_t>(place()));
        input.insert(input.end(), from, other.end());
      }
    }
  }
  return input;
}

}  // namespace

int main(int argc, char** argv) try {
  std::uint32_t changed_count = 2000;
  std::vector<Bytes> inputs;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--changed") == 0 && i + 1 < argc) {
      changed_count = static_cast<std::uint32_t>(std::stoul(argv[++i]));
      continue;
    }
    const std::vector<Bytes> more = inputs_of(argv[i]);
    inputs.insert(inputs.end(), more.begin(), more.end());
  }
  if (inputs.empty()) throw std::runtime_error("no input; give files or folders");
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
    std::signal(signal, keep_input);
  run({});
  for (const Bytes& input : inputs) run(input);
  swnat::test::Dice dice(1);
  for (std::uint32_t i = 0; i < changed_count; ++i) {
    run(changed(inputs[i % inputs.size()], inputs, dice));
  }
  std::cout << inputs.size() << " inputs and " << changed_count
            << " changed ones: nothing broken\n";
  return 0;
} catch (const std::exception& error) {
  std::cerr << argv[0] << ": " << error.what() << '\n';
  return 2;
}
