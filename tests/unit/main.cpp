// SPDX-License-Identifier: Apache-2.0
// As the program itself: it is its own symbol worker.
#include <gtest/gtest.h>

#include <span>

#include "user/symbols/symbol_server.h"

int main(int argc, char** argv) {
  if (const auto served = alloctrail::serve_as_symbol_worker(std::span(argv, static_cast<size_t>(argc)))) return *served;
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
