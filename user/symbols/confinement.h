// SPDX-License-Identifier: Apache-2.0
// How the symbol worker gives up every right it does not need, so that a file that takes it over gains nothing.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace alloctrail {

/// A bit each, in the order of confinement_steps().
using Confinement = uint32_t;

struct ConfinementStep {
  Confinement bit;
  std::string_view name;
  std::string_view meaning;
};
[[nodiscard]] std::span<const ConfinementStep> confinement_steps();

/// Gives up the rights of this process, ties its life to that of its parent, and returns which of the steps succeeded: without root it has fewer to give up.
/// Afterwards it can compute, map descriptors that it receives, and talk over those it has. `memory_bytes` bounds what
/// it can allocate.
[[nodiscard]] Confinement confine(uint64_t memory_bytes);

}  // namespace alloctrail
