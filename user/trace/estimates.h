// SPDX-License-Identifier: Apache-2.0
// From the kernel half's sums over samples to what a Snapshot says of them. Pure.
#pragma once

#include "alloctrail/sampling.h"
#include "user/model/snapshot.h"

namespace alloctrail {

/// The recorded amount with every sample replaced by what it stands for.
[[nodiscard]] Amount estimate(Amount recorded, const at_sample_sums& sums);

[[nodiscard]] SampledPart sampled_part(const at_sample_sums& sums);

}  // namespace alloctrail
