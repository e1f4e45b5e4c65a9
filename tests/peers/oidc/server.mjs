// npm's oidc-provider (OpenID Certified) with everything in memory, as the authorization server that stands opposite
// the end-to-end tests and the demo. It is told what to be in one JSON argument, says what happens in JSON lines on
// stdout (provider.py reads them), obeys JSON lines on stdin, and ends when stdin does.
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

const told = {
  host: '127.0.0.1', // as written in the issuer; the socket is on 127.0.0.1 whatever the name
  accessToken: 3600, // lifetimes, in seconds
  code: 60,
  refreshToken: 86400,
  secret: 'unset', // of the confidential clients
  device: false, // whether there is a device grant
  registration: false, // whether clients register themselves (RFC 7591)
  resource: '', // of whose tokens the scopes `mcp:read` and `mcp:write` are (RFC 8707); each for itself alone
  ...JSON.parse(process.argv[2] ?? '{}'),
};

const say = (event, facts) => process.stdout.write(`${JSON.stringify({ event, ...facts })}\n`);
console.info = console.log = console.warn = console.error; // the library's notices must not mix with our lines

let ahead = 0; // milliseconds this server's clock was moved ahead, so that no test sleeps until something expires
const { now } = Date;
Date.now = () => now() + ahead;

URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null); // the first Node 20 had none

// imported only now: it may take a reference to Date.now
const { Provider, errors } = await import('oidc-provider');

const redirects = ['127.0.0.1', '[::1]', 'localhost'].map((host) => `http://${host}/callback`); // RFC 8252: any port
const scope = 'openid offline_access email profile api:read'; // `api:write` exists, but not for these clients
const client = (client_id, token_endpoint_auth_method) => ({
  client_id,
  token_endpoint_auth_method,
  scope,
  redirect_uris: redirects,
  application_type: 'native',
  grant_types: [
    'authorization_code', 'refresh_token', ...(token_endpoint_auth_method === 'none' ? [] : ['client_credentials']),
    ...(told.device ? ['urn:ietf:params:oauth:grant-type:device_code'] : []),
  ],
  ...(token_endpoint_auth_method === 'none' ? {} : { client_secret: told.secret }),
});

const http = createServer();
await new Promise((ready) => { http.listen(0, '127.0.0.1', ready); });
const issuer = `http://${told.host}:${http.address().port}`;

const provider = new Provider(issuer, {
  clients: [client('native', 'none'), client('basic', 'client_secret_basic'), client('post', 'client_secret_post')],
  jwks: { keys: [told.key] }, // made by who starts us: Node 20 can hang for ever when it makes one (seen: ~KeyGenJob)
  cookies: { keys: ['only for tests'] },
  scopes: ['openid', 'offline_access', 'api:read', 'api:write'],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] },
  conformIdTokenClaims: false, // the ID token names the person, as Google's and Microsoft's do
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    deviceFlow: { enabled: told.device },
    introspection: { enabled: true },
    registration: { enabled: told.registration },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, resource) => {
        if (resource !== told.resource) throw new errors.InvalidTarget();
        return { scope: 'mcp:read mcp:write', audience: resource, accessTokenFormat: 'opaque', accessTokenTTL: told.accessToken };
      },
      useGrantedResource: () => false, // whoever asks for a token says again what it is for
    },
    revocation: { enabled: true },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: {
    AccessToken: () => told.accessToken,
    ClientCredentials: () => told.accessToken,
    AuthorizationCode: () => told.code,
    DeviceCode: 600,
    RefreshToken: () => told.refreshToken,
    IdToken: 3600,
    Grant: 86400,
    Session: 86400,
    Interaction: 600,
  },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({
      sub, name: sub, preferred_username: sub, email: `${sub}@example.test`, email_verified: true,
    }),
  }),
});

const used = (ctx) => ({ client: ctx.oidc?.client?.clientId, grant: ctx.oidc?.params?.grant_type });
const held = ({ access_token, refresh_token, id_token }) => [access_token, refresh_token, id_token];

// `secrets` are for the tests that search logs, files and processes for the actual values.
provider.on('authorization.success', (_, out) => out && say('code', { secrets: [out.code] }));
provider.on('authorization.error', (ctx, error) => say('authorization-error', { ...used(ctx), error: error.error }));
provider.on('device_authorization.success', (_, body) => say('device-code', { secrets: [body.device_code] }));
provider.on('grant.success', (ctx) => say('granted', {
  ...used(ctx),
  sub: ctx.oidc.account?.accountId,
  audience: [ctx.oidc.entities.AccessToken?.aud].flat()[0],
  secrets: [...held(ctx.body), ctx.oidc.params.code_verifier].filter(Boolean),
}));
provider.on('grant.error', (ctx, error) => {
  say('grant-error', { ...used(ctx), error: error.error, detail: error.error_detail });
  if (error.error_detail === 'refresh token already used') say('reuse', used(ctx));
});
provider.on('grant.revoked', (ctx, grant) => say('revoked', { client: ctx.oidc.client?.clientId, id: grant }));
provider.on('introspection.error', (ctx, error) => say('introspection-error', { ...used(ctx), error: error.error }));
provider.on('server_error', (_, error) => say('defect', { error: String(error.stack) }));

http.on('request', provider.callback());
createInterface({ input: process.stdin })
  .on('line', (line) => {
    const { skip = 0, ...more } = JSON.parse(line);
    ahead += skip * 1000;
    Object.assign(told, more);
    say('obeyed', {});
  })
  .on('close', () => process.exit(0));
say('ready', { issuer });
