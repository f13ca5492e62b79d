#define PIC 1
#include <alsa/asoundlib.h>
#include <alsa/pcm_external.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

/* A sound card that one program may use at a time: whoever holds the lock on its file has it. */
SND_PCM_PLUGIN_DEFINE_FUNC(exclusive) {
    const char *path = NULL;
    snd_config_t *entry;
    if (snd_config_search(conf, "lock", &entry) < 0 || snd_config_get_string(entry, &path) < 0)
        return -EINVAL;
    int lock = open(path, O_RDWR | O_CREAT, 0600);
    int taken = lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0;
    if (lock >= 0) close(lock);
    return taken ? -EBUSY : snd_pcm_open(pcmp, "null", stream, mode);
}
SND_PCM_PLUGIN_SYMBOL(exclusive);
