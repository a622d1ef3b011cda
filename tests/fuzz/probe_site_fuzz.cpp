// SPDX-License-Identifier: Apache-2.0
// Feeds any bytes to the choice of a probe site. The first byte picks shape and use, the rest is the function's code.
#include <cstdio>
#include <cstdlib>

#include "tests/unit/probe_site_property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace alloctrail;
  static const std::unique_ptr<Decoder> decoder = make_decoder(Architecture::X86_64);
  if (size == 0) return 0;
  const auto shape = static_cast<at_shape>((data[0] >> 1) % AT_SHAPE_COUNT);
  const SiteUse use = data[0] % 2 == 0 ? SiteUse::EntryOnly : SiteUse::EntryAndReturn;
  const std::span code(data + 1, size - 1);
  const SiteChoice choice = choose_site(*decoder, code, shape, use);
  const std::string wrong = test::what_is_wrong_with(choice, *decoder, code, shape, use);
  if (wrong.empty()) return 0;
  std::fprintf(stderr, "%s (%s)\n", wrong.c_str(), choice.reason.c_str());
  std::abort();
}
