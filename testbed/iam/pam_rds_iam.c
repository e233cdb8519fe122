/* Hands user and password, the whole of it, to the verifier named in the PAM service file: `pam_exec` would pass on
 * 511 bytes, and the token of a real role has 1,600 or more. The verifier's exit status is the answer. */
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int pam_sm_authenticate(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    const char *user, *token;
    int pipe_ends[2], status;

    (void)flags;
    /* The arguments end at argc; there is no NULL after them. */
    if (argc != 1 || pam_get_user(pam, &user, NULL) != PAM_SUCCESS
        || pam_get_authtok(pam, PAM_AUTHTOK, &token, NULL) != PAM_SUCCESS || pipe(pipe_ends) != 0)
        return PAM_AUTH_ERR;

    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_ends[0], STDIN_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        execl(argv[0], argv[0], user, (char *)NULL);
        _exit(127);
    }
    close(pipe_ends[0]);
    size_t length = strlen(token);
    int written = child > 0 && write(pipe_ends[1], token, length) == (ssize_t)length;
    close(pipe_ends[1]);
    int ended = child > 0 && waitpid(child, &status, 0) == child;
    return written && ended && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? PAM_SUCCESS : PAM_AUTH_ERR;
}

int pam_sm_setcred(pam_handle_t *pam, int flags, int argc, const char **argv)
{
    (void)pam, (void)flags, (void)argc, (void)argv;
    return PAM_SUCCESS;
}
