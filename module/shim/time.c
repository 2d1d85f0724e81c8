// SPDX-License-Identifier: GPL-2.0
/* Clocks and chance. */
#include <linux/jiffies.h>
#include <linux/random.h>

#include "shim.h"

u64 ihmp_jiffies(void)
{
	return get_jiffies_64();
}

u64 ihmp_jiffies_to_ms(u64 j)
{
	return jiffies64_to_msecs(j);
}

u64 ihmp_ms_to_jiffies(u64 ms)
{
	return msecs_to_jiffies(min_t(u64, ms, UINT_MAX / 2));
}

u32 ihmp_random(void)
{
	return get_random_u32();
}
